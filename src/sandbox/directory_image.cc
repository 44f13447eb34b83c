#include "sandbox/directory_image.h"

#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "sandbox/host_files.h"

namespace msb {
namespace {

Result<> copy_root(const std::string& directory, int output) {
  disk::ErofsTree tree;
  disk::ErofsWriter writer(output);
  HostFiles files(tree, writer, HostFiles::Owner::kept);
  MSB_CHECK(files.copy_directory(directory, disk::ErofsTree::kRoot));
  return writer.finish(tree).map([](const auto&) {});
}

}  // namespace

Result<> make_directory_image(const std::string& directory, const std::string& output) {
  MSB_TRY(Fd file, open_file(output, O_RDWR | O_CREAT | O_TRUNC, 0600));
  Cleanup remove([&] { ::unlink(output.c_str()); });
  MSB_CHECK_CTX(copy_root(directory, file.get()), "copy the root directory");
  remove.dismiss();
  return {};
}

}  // namespace msb
