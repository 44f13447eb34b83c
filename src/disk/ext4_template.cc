#include "disk/ext4_template.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/child.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/file_lock.h"
#include "base/temp_dir.h"

namespace msb::disk {
namespace {

// Part of the template's name: a change of mke2fs's arguments must not find an old template.
constexpr int kTemplateVersion = 1;

// A user's PATH often lacks the sbin folders, where Debian and Fedora keep it.
Result<std::string> find_mke2fs() {
  const char* path = ::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nothing here sets the environment
  std::string folders = cat(path ? path : "", ":/usr/sbin:/sbin:/usr/local/sbin");
  for (size_t start = 0; start < folders.size();) {
    size_t end = std::min(folders.find(':', start), folders.size());
    std::string candidate = cat(folders.substr(start, end - start), "/mke2fs");
    if (end > start && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    start = end + 1;
  }
  return fail(Error(ErrorKind::unsupported, "mke2fs, which formats a sandbox's writable disk, is not on this machine")
                  .hint("install it: apt-get install e2fsprogs (or the package of that name of your distribution)"));
}

// A file beside `path` with a name of its own, so that `path` appears whole, by rename, or not at all.
struct Draft {
  std::string path;
  Fd fd;
};
Result<Draft> create_draft(const std::string& path) {
  Draft draft{path + ".XXXXXX", Fd()};
  draft.fd.reset(::mkostemp(draft.path.data(), O_CLOEXEC));
  if (!draft.fd) return fail_errno(cat("create ", draft.path));
  return draft;
}

Result<> format_ext4(const std::string& path, int fd, uint64_t size_mib) {
  MSB_TRY(std::string mke2fs, find_mke2fs());
  if (::ftruncate(fd, static_cast<off_t>(size_mib << 20)) < 0) return fail_errno(cat("set the size of ", path));
  // The file is all holes, so nothing needs zeroing: not the inode tables, not the journal. No reserved blocks: the
  // space is the sandbox's. root_owner, because mke2fs run by a user would otherwise be free to pick that user.
  MSB_CHECK_CTX(run_capture({mke2fs, "-q", "-F", "-t", "ext4", "-O", "^resize_inode", "-b", "4096", "-m", "0", "-E",
                             "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0", path}),
                "format the writable disk");
  if (::fsync(fd) < 0) return fail_errno(cat("flush ", path));
  return {};
}

Result<> make_template(const std::string& path, const std::string& folder, uint64_t size_mib) {
  MSB_CHECK(make_dirs(folder));
  MSB_TRY(FileLock lock, FileLock::acquire(folder + "/lock", LockMode::exclusive));
  if (path_exists(path)) return {};  // somebody else made it while we waited
  MSB_TRY(Draft draft, create_draft(path));
  Cleanup remove_draft([&] { ::unlink(draft.path.c_str()); });
  MSB_CHECK(format_ext4(draft.path, draft.fd.get(), size_mib));
  if (::rename(draft.path.c_str(), path.c_str()) < 0) return fail_errno(cat("rename to ", path));
  remove_draft.dismiss();
  return {};
}

Result<Fd> open_template(const std::string& folder, uint64_t size_mib) {
  std::string path = cat(folder, "/upper-", size_mib, "m-v", kTemplateVersion, ".ext4");
  auto ready = open_file(path);
  if (ready || ready.error().errnum() != ENOENT) return ready;
  MSB_CHECK(make_template(path, folder, size_mib));
  return open_file(path);
}

}  // namespace

Result<> make_upper_disk(const std::string& path, uint64_t size_mib, const std::string& template_dir, CloneBy by) {
  if (size_mib < kMinUpperMib || size_mib > kMaxUpperMib)
    return fail(ErrorKind::invalid_config, cat("a root disk of ", size_mib, " MiB cannot be made: choose from ",
                                               kMinUpperMib, " MiB to ", kMaxUpperMib, " MiB"));
  MSB_TRY(Fd source, open_template(template_dir, size_mib));
  MSB_TRY(Draft draft, create_draft(path));
  Cleanup remove_draft([&] { ::unlink(draft.path.c_str()); });
  MSB_CHECK_CTX(copy_sparse(source.get(), draft.fd.get(), by), cat("create the writable disk ", path));
  if (::rename(draft.path.c_str(), path.c_str()) < 0) return fail_errno(cat("rename to ", path));
  remove_draft.dismiss();
  return {};
}

}  // namespace msb::disk
