#include "state/runtime_files.h"

#include <sys/mman.h>
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
[[gnu::weak, gnu::visibility("hidden")]] extern const uint8_t msb_embedded_kvm[];
[[gnu::weak, gnu::visibility("hidden")]] extern const uint8_t msb_embedded_kvm_end[];
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
ByteView embedded_kvm() {
  return {msb_embedded_kvm, msb_embedded_kvm_end};
}

RuntimeFiles files_in(const std::string& folder) {
  return {folder + "/vmlinux", folder + "/initramfs.cpio", embedded_kvm().empty() ? "" : folder + "/msb-kvm"};
}

bool has_size(const std::string& path, size_t size) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && static_cast<size_t>(status.st_size) == size;
}

bool is_extracted(const RuntimeFiles& files) {
  return has_size(files.kernel, embedded_kernel().size()) && has_size(files.initramfs, embedded_initramfs().size()) &&
         (files.kvm.empty() || has_size(files.kvm, embedded_kvm().size()));
}

// What was read to be written out once: a process that goes on for days need not have it in memory.
void release_pages(ByteView contents) {
  auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  auto start = (reinterpret_cast<uintptr_t>(contents.data()) + page - 1) / page * page;
  auto end = reinterpret_cast<uintptr_t>(contents.data() + contents.size()) / page * page;
  if (start < end) (void)::madvise(reinterpret_cast<void*>(start), end - start, MADV_DONTNEED);
}

Result<> write_file(const std::string& path, ByteView contents, mode_t mode) {
  MSB_TRY(Fd fd, open_file(path, O_WRONLY | O_CREAT | O_EXCL, mode));
  MSB_CHECK_CTX(write_full(fd.get(), contents), cat("write ", path));
  // The folder is trusted by its name from now on: after a power cut it must not be there half written.
  if (::fsync(fd.get()) < 0) return fail_errno(cat("write ", path));
  release_pages(contents);
  return {};
}

Result<> extract(const Home& home, const RuntimeFiles& files) {
  MSB_CHECK(home.make_dir(home.locks_dir()));
  MSB_CHECK(home.make_dir(home.tmp_dir()));
  MSB_TRY(FileLock lock, FileLock::acquire(home.lock(kRuntimeLock), LockMode::exclusive));
  if (is_extracted(files)) return {};
  MSB_TRY(TempDir temporary, TempDir::create(home.tmp_dir(), std::string(kRuntimePrefix)));
  MSB_CHECK(write_file(temporary.path() + "/vmlinux", embedded_kernel(), 0644));
  MSB_CHECK(write_file(temporary.path() + "/initramfs.cpio", embedded_initramfs(), 0644));
  if (!files.kvm.empty()) MSB_CHECK(write_file(temporary.path() + "/msb-kvm", embedded_kvm(), 0755));
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
  MSB_TRY(files.kvm, from_environment("MSB_KVM_PATH"));
  bool named = !files.kernel.empty() && !files.initramfs.empty();
  if (!has_embedded_runtime()) {
    if (named) return files;
    return fail(Error(ErrorKind::unsupported,
                      cat("this build carries no guest ", files.kernel.empty() ? "kernel" : "initramfs"))
                    .hint("build msb with `make build`, or set MSB_KERNEL_PATH and MSB_INITRAMFS_PATH"));
  }
  if (named && (!files.kvm.empty() || embedded_kvm().empty())) return files;
  RuntimeFiles extracted = files_in(home.runtime_dir(msb_embedded_hash));
  if (!is_extracted(extracted)) MSB_CHECK_CTX(extract(home, extracted), "extract the guest's kernel");
  if (files.kernel.empty()) files.kernel = extracted.kernel;
  if (files.initramfs.empty()) files.initramfs = extracted.initramfs;
  if (files.kvm.empty()) files.kvm = extracted.kvm;
  return files;
}

}  // namespace msb::state
