// make-cpio OUTPUT PROGRAM: an initramfs with the program as /init and the console device the kernel opens for it.
#include <sys/stat.h>

#include <cstdio>

#include "base/cpio.h"
#include "base/fd.h"

namespace {

using namespace msb;

Result<> make(const std::string& output, const std::string& program) {
  MSB_TRY(std::string init, read_file(program));
  const CpioEntry entries[] = {
      {"dev", S_IFDIR | 0755}, {"dev/console", S_IFCHR | 0600, {}, 5, 1}, {"init", S_IFREG | 0755, init}};
  return write_file_atomic(output, make_cpio(entries));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return std::fputs("usage: make-cpio OUTPUT PROGRAM\n", stderr), 2;
  auto made = make(argv[1], argv[2]);
  if (!made) std::fprintf(stderr, "make-cpio: %s\n", made.error().to_string().c_str());
  return made ? 0 : 1;
}
