// A stream of files from somebody hostile: nothing outside the destination may change. The first byte chooses whether
// the rest is the stream itself, or a program that says what the stream says (names and links of the worst kind), which
// goes to the writer through the decoder or directly.
#include <sys/stat.h>

#include <array>
#include <cstdlib>

#include "base/temp_dir.h"
#include "tree/tree_stream.h"
#include "tree/tree_writer.h"

namespace {

using namespace msb;
using wire::FileKind;

constexpr std::array<std::string_view, 10> kNames{"a", "b", "c", "way", "..", ".", "../outside", "a/b", "", "/tmp/x"};
constexpr std::array<std::string_view, 8> kTargets{
    "../outside", "../../outside/precious", "..", "a", "way/precious", "a/../b", "", "/"};

void run_program(ByteView program, tree::TreeSink& sink) {
  for (size_t at = 0; at + 3 < program.size(); at += 4) {
    wire::TreeEntry entry;
    Result<> outcome;
    switch (program[at] % 5) {
      case 0:
        entry.kind = wire::kFileKinds[program[at + 1] % wire::kFileKinds.size()].first;
        entry.name = as_bytes(kNames[program[at + 2] % kNames.size()]);
        entry.target = as_bytes(kTargets[program[at + 3] % kTargets.size()]);
        if (program[at] & 0x80) entry.mode = program[at + 3] * 16u;
        outcome = sink.entry(entry);
        break;
      case 1:
        outcome = sink.data(program.subspan(at, 4));
        break;
      case 2:
        outcome = sink.hole(uint64_t{1} << (program[at + 1] % 64));
        break;
      case 3:
        outcome = sink.end();
        break;
      default:
        outcome = sink.leave();
    }
    if (!outcome && (program[at] & 0x40)) return;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0 || size > 4096) return 0;
  static const TempDir temp = *TempDir::create();
  std::string into = temp.path() + "/into", outside = temp.path() + "/outside", precious = outside + "/precious";
  (void)make_dirs(into + "/tree");
  (void)make_dirs(outside);
  if (!path_exists(precious)) (void)write_file_atomic(precious, "precious");
  {
    tree::TreeWriter writer(*open_file(into, O_RDONLY | O_DIRECTORY), "tree", tree::Trust::foreign);
    tree::TreeDecoder decoder(writer);
    ByteView rest(data + 1, size - 1);
    if (data[0] % 3 == 0) {
      size_t cut = data[0] % (rest.size() + 1);
      if (decoder.feed(rest.first(cut)) && decoder.feed(rest.subspan(cut))) (void)decoder.finish();
    } else if (data[0] % 3 == 1) {
      tree::TreeEncoder encoder([&](ByteView bytes) { return decoder.feed(bytes); });
      run_program(rest, encoder);
      (void)encoder.finish();
    } else {
      run_program(rest, writer);
    }
  }
  struct stat status;
  if (names_in(outside).size() != 1 || read_file(precious).value_or("") != "precious") std::abort();
  if (::stat(precious.c_str(), &status) < 0 || status.st_nlink != 1 || names_in(temp.path()).size() != 2) std::abort();
  (void)remove_tree(into);
  return 0;
}
