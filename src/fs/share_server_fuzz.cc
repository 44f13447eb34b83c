// A hostile guest's requests against a share: whatever it sends, nothing outside the share is read or changed.
//
// The input is a list of requests, each with a length before it; opcode and node id are folded into what exists, so
// that the fuzzer need not guess them.
#include <fcntl.h>
#include <linux/fuse.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/temp_dir.h"
#include "fs/share_server.h"

namespace msb::fs {
namespace {

// The share's neighbours, which nothing may touch.
struct Host {
  TempDir directory = TempDir::create().value();
  std::string share = directory.path() + "/share";

  void lay_out() {
    (void)remove_tree(share);
    (void)make_dirs(share + "/d");
    (void)write_file_atomic(directory.path() + "/secret", "secret");
    (void)write_file_atomic(share + "/a", "text");
    (void)!::symlink("../secret", (share + "/out").c_str());
    (void)!::symlink("..", (share + "/up").c_str());
  }
  void check() const {
    auto secret = read_file(directory.path() + "/secret");
    if (!secret || *secret != "secret" || names_in(directory.path()).size() != 2) std::abort();
  }
};

}  // namespace
}  // namespace msb::fs

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace msb;
  using namespace msb::fs;
  static Host host;
  host.lay_out();
  ShareOptions options;
  constexpr uint64_t kQuota = 100'000;
  std::unique_ptr<Quota> quota;
  ByteReader input({data, size});
  if (auto mode = input.le<uint8_t>()) {
    options.writable = *mode & 1 ? Writable::no : Writable::yes;
    options.host_modes = *mode & 2 ? HostModes::private_ : HostModes::mirror;
    if (*mode & 4) options.only = "a";
    if (*mode & 8) quota = Quota::of_growth(kQuota);
    options.protect_hooks = (*mode & 16) != 0;
  }
  const Quota* bound = quota.get();
  std::vector<Share> shares;
  shares.push_back({"share", open_file(host.share, O_PATH | O_DIRECTORY).value(), options, std::move(quota)});
  auto server = ShareServer::create(std::move(shares), {.max_nodes = 20, .max_handles = 5}).value();
  fuse_in_header header{};
  fuse_init_in init{};
  header.opcode = FUSE_INIT;
  init.major = FUSE_KERNEL_VERSION;
  init.minor = FUSE_KERNEL_MINOR_VERSION;
  Bytes reply(70'000);
  const MutableByteView out[] = {reply};
  auto send = [&](const fuse_in_header& head, ByteView arguments) {
    Bytes request(sizeof(head) + arguments.size());
    std::memcpy(request.data(), &head, sizeof(head));
    std::copy(arguments.begin(), arguments.end(), request.begin() + sizeof(head));
    const MutableByteView in[] = {request};
    if (server->answer(in, out) > reply.size()) std::abort();
  };
  send(header, {reinterpret_cast<const uint8_t*>(&init), sizeof(init)});
  header.opcode = FUSE_LOOKUP;
  header.nodeid = FUSE_ROOT_ID;
  send(header, as_bytes({"share", 6}));
  for (int requests = 0; requests < 50; ++requests) {
    auto opcode = input.le<uint8_t>(), node = input.le<uint8_t>();
    auto length = input.le<uint16_t>();
    if (!opcode || !node || !length) break;
    auto arguments = input.take(std::min<size_t>(*length, input.remaining()));
    header.opcode = *opcode % 60;
    if (header.opcode == FUSE_DESTROY || header.opcode == FUSE_SYNCFS || header.opcode == FUSE_FALLOCATE) continue;
    header.nodeid = *node % 8;
    send(header, *arguments);
  }
  host.check();
  if (bound && bound->used() > kQuota) std::abort();
  return 0;
}
