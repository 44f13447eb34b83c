#include "state/runtime_files.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/fd.h"
#include "base/file_lock.h"
#include "base/temp_dir.h"

// Defined by embedded_runtime.c in programs that carry a runtime; null in others.
extern "C" {
[[gnu::weak, gnu::visibility("hidden")]] extern const uint8_t msb_embedded_kernel[];
[[gnu::weak, gnu::visibility("hidden")]] extern const uint8_t msb_embedded_kernel_end[];
[[gnu::weak, gnu::visibility("hidden")]] extern const uint8_t msb_embedded_initramfs[];
[[gnu::weak, gnu::visibility("hidden")]] extern const uint8_t msb_embedded_initramfs_end[];
[[gnu::weak, gnu::visibility("hidden")]] extern const char msb_embedded_hash[];
}

namespace msb::state {
namespace {

ByteView embedded_kernel() {
  return {msb_embedded_kernel, msb_embedded_kernel_end};
}
ByteView embedded_initramfs() {
  return {msb_embedded_initramfs, msb_embedded_initramfs_end};
}

bool has_size(const std::string& path, size_t size) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && static_cast<size_t>(status.st_size) == size;
}

bool is_extracted(const RuntimeFiles& files) {
  return has_size(files.kernel, embedded_kernel().size()) && has_size(files.initramfs, embedded_initramfs().size());
}

Result<> write_file(const std::string& path, ByteView contents) {
  MSB_TRY(Fd fd, open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0644));
  MSB_CHECK_CTX(write_full(fd.get(), contents), cat("write ", path));
  // The folder is trusted by its name from now on: after a power cut it must not be there half written.
  if (::fsync(fd.get()) < 0) return fail_errno(cat("write ", path));
  return {};
}

Result<> extract(const Home& home, const RuntimeFiles& files) {
  MSB_CHECK(home.make_dir(home.locks_dir()));
  MSB_CHECK(home.make_dir(home.tmp_dir()));
  MSB_TRY(FileLock lock, FileLock::acquire(home.lock("runtime"), LockMode::exclusive));
  if (is_extracted(files)) return {};
  MSB_TRY(TempDir temporary, TempDir::create(home.tmp_dir(), "runtime-"));
  MSB_CHECK(write_file(temporary.path() + "/vmlinux", embedded_kernel()));
  MSB_CHECK(write_file(temporary.path() + "/initramfs.cpio", embedded_initramfs()));
  std::string target = home.runtime_dir(msb_embedded_hash);
  MSB_CHECK(home.make_dir(target));
  MSB_CHECK(remove_tree(target));
  if (::rename(temporary.path().c_str(), target.c_str()) < 0) return fail_errno(cat("rename to ", target));
  (void)temporary.release();
  return {};
}

Result<std::string> from_environment(const char* variable) {
  const char* path = ::getenv(variable);
  if (!path || !*path) return std::string();
  if (::access(path, R_OK) < 0)
    return fail(Error::from_errno(errno, cat("open ", path))
                    .hint(cat("the path comes from ", variable, " in the environment")));
  return std::string(path);
}

}  // namespace

bool has_embedded_runtime() {
  return msb_embedded_kernel != nullptr && msb_embedded_initramfs != nullptr;
}

Result<RuntimeFiles> runtime_files(const Home& home) {
  RuntimeFiles files;
  MSB_TRY(files.kernel, from_environment("MSB_KERNEL_PATH"));
  MSB_TRY(files.initramfs, from_environment("MSB_INITRAMFS_PATH"));
  if (!files.kernel.empty() && !files.initramfs.empty()) return files;
  if (!has_embedded_runtime())
    return fail(Error(ErrorKind::unsupported,
                      cat("this build carries no guest ", files.kernel.empty() ? "kernel" : "initramfs"))
                    .hint("build msb with `make build`, or set MSB_KERNEL_PATH and MSB_INITRAMFS_PATH"));
  std::string folder = home.runtime_dir(msb_embedded_hash);
  RuntimeFiles extracted{folder + "/vmlinux", folder + "/initramfs.cpio"};
  if (!is_extracted(extracted)) MSB_CHECK_CTX(extract(home, extracted), "extract the guest's kernel");
  if (files.kernel.empty()) files.kernel = extracted.kernel;
  if (files.initramfs.empty()) files.initramfs = extracted.initramfs;
  return files;
}

}  // namespace msb::state
