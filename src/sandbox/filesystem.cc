// The public Filesystem: operations on single files. Copies are in filesystem_copy.cc.
#include <microsandbox/filesystem.h>

#include "base/utf8.h"
#include "sandbox/filesystem_paths.h"
#include "tree/tree_sink.h"

namespace msb {
namespace {

using wire::FileOperation;

// What read() and collect() keep in memory at most.
constexpr size_t kMaxCollected = size_t{1} << 30;
// A list is as long as the guest makes it.
constexpr size_t kMaxListed = 1'000'000;

FileTime to_time(int64_t nanoseconds) {
  return FileTime(std::chrono::nanoseconds(nanoseconds));
}

FsMetadata to_metadata(const wire::FileStat& stat) {
  FsMetadata metadata;
  metadata.kind = stat.kind == wire::FileKind::file        ? FsEntryKind::file
                  : stat.kind == wire::FileKind::directory ? FsEntryKind::directory
                  : stat.kind == wire::FileKind::symlink   ? FsEntryKind::symlink
                                                           : FsEntryKind::other;
  metadata.size = stat.size;
  metadata.mode = stat.mode & 07777;
  metadata.uid = stat.uid;
  metadata.gid = stat.gid;
  metadata.readonly = (stat.mode & 0222) == 0;
  metadata.modified = to_time(stat.mtime_ns);
  if (stat.created_ns) metadata.created = to_time(*stat.created_ns);
  return metadata;
}

// The entries of a directory, from the bytes of core.fs.entry frames.
class Listing {
 public:
  explicit Listing(std::string directory) : directory_(std::move(directory)) {
    if (!directory_.ends_with('/')) directory_ += '/';
  }

  Result<> feed(ByteView bytes) {
    reader_.feed(bytes);
    while (true) {
      MSB_TRY(auto frame, reader_.next());
      if (!frame) return {};
      MSB_TRY(auto envelope, wire::open_envelope(frame->body));
      if (envelope.type != wire::FileEntry::kType) continue;
      MSB_TRY(auto entry, wire::decode<wire::FileEntry>(envelope.payload));
      if (!tree::is_name(as_text(entry.name)))
        return fail(ErrorKind::protocol, "the guest lists an entry whose name cannot be");
      if (entries_.size() >= kMaxListed)
        return fail(ErrorKind::filesystem, cat("the directory has more than ", kMaxListed, " entries"));
      entries_.push_back({directory_ + std::string(as_text(entry.name)), to_metadata(entry.stat)});
    }
  }
  std::vector<FsEntry> take() { return std::move(entries_); }

 private:
  std::string directory_;
  wire::FrameReader reader_;
  std::vector<FsEntry> entries_;
};

// Runs an operation that has no data.
Result<FileStream::Outcome> run(const std::string& sandbox, const wire::FileRequest& request) {
  MSB_TRY(auto stream, start_file_operation(sandbox, request));
  MSB_CHECK(stream.drain());
  return stream.outcome();
}

Result<> run_on(const std::string& sandbox, FileOperation operation, const std::string& path) {
  MSB_TRY(auto request, file_request(operation, path));
  return run(sandbox, request).map([](const auto&) {});
}

}  // namespace

std::string_view to_string(FsEntryKind kind) {
  switch (kind) {
    case FsEntryKind::file:
      return "file";
    case FsEntryKind::directory:
      return "directory";
    case FsEntryKind::symlink:
      return "symlink";
    case FsEntryKind::other:
      break;
  }
  return "other";
}

// ---- streams ------------------------------------------------------------------------

struct [[gnu::visibility("hidden")]] FsReadStream::State {
  FileStream stream;
};
struct [[gnu::visibility("hidden")]] FsWriteSink::State {
  FileStream stream;
};

FsReadStream::FsReadStream(std::unique_ptr<State> state) : state_(std::move(state)) {}
FsReadStream::FsReadStream(FsReadStream&&) noexcept = default;
FsReadStream& FsReadStream::operator=(FsReadStream&&) noexcept = default;
// Closing the connection ends the guest's side: the relay tells the agent, even when we die.
FsReadStream::~FsReadStream() = default;

Result<std::optional<std::string>> FsReadStream::recv() {
  MSB_TRY(auto data, state_->stream.read());
  if (!data) return std::optional<std::string>();
  return std::optional(std::string(as_text(*data)));
}

Result<std::string> FsReadStream::collect() {
  std::string all;
  while (true) {
    MSB_TRY(auto data, state_->stream.read());
    if (!data) return all;
    if (all.size() + data->size() > kMaxCollected)
      return fail(Error(ErrorKind::filesystem, "the file is larger than 1 GiB").hint("read it with read_stream"));
    all += as_text(*data);
  }
}

FsWriteSink::FsWriteSink(std::unique_ptr<State> state) : state_(std::move(state)) {}
FsWriteSink::FsWriteSink(FsWriteSink&&) noexcept = default;
FsWriteSink& FsWriteSink::operator=(FsWriteSink&&) noexcept = default;
FsWriteSink::~FsWriteSink() = default;

Result<> FsWriteSink::write(std::string_view bytes) {
  return state_->stream.write(as_bytes(bytes));
}
Result<> FsWriteSink::close() {
  return state_->stream.finish();
}

// ---- operations -----------------------------------------------------------------------

Result<FsReadStream> Filesystem::read_stream(const std::string& path) const {
  MSB_TRY(auto request, file_request(FileOperation::read, path));
  MSB_TRY(auto stream, start_file_operation(sandbox_, request));
  return FsReadStream(std::make_unique<FsReadStream::State>(std::move(stream)));
}

Result<std::string> Filesystem::read(const std::string& path) const {
  MSB_TRY(auto stream, read_stream(path));
  return stream.collect();
}

Result<std::string> Filesystem::read_text(const std::string& path) const {
  MSB_TRY(auto text, read(path));
  if (!is_utf8(text))
    return fail(
        Error(ErrorKind::filesystem, cat(tree::printable_path(path), " is not UTF-8 text")).hint("read it as bytes"));
  return text;
}

Result<FsWriteSink> Filesystem::write_stream(const std::string& path, uint32_t mode) const {
  MSB_TRY(auto request, file_request(FileOperation::write, path));
  request.mode = mode;
  MSB_TRY(auto stream, start_file_operation(sandbox_, request));
  return FsWriteSink(std::make_unique<FsWriteSink::State>(std::move(stream)));
}

Result<> Filesystem::write(const std::string& path, std::string_view bytes, uint32_t mode) const {
  MSB_TRY(auto sink, write_stream(path, mode));
  MSB_CHECK(sink.write(bytes));
  return sink.close();
}

Result<> Filesystem::remove(const std::string& path) const {
  return run_on(sandbox_, FileOperation::remove, path);
}
Result<> Filesystem::remove_dir(const std::string& path) const {
  return run_on(sandbox_, FileOperation::remove_tree, path);
}

Result<std::vector<FsEntry>> Filesystem::list(const std::string& path) const {
  MSB_TRY(auto request, file_request(FileOperation::list, path));
  MSB_TRY(auto stream, start_file_operation(sandbox_, request));
  Listing listing(path);
  while (true) {
    MSB_TRY(auto data, stream.read());
    if (!data) return listing.take();
    MSB_CHECK(listing.feed(*data));
  }
}

Result<> Filesystem::mkdir(const std::string& path, uint32_t mode) const {
  MSB_TRY(auto request, file_request(FileOperation::make_directory, path));
  request.mode = mode;
  return run(sandbox_, request).map([](const auto&) {});
}

Result<> Filesystem::copy(const std::string& from, const std::string& to) const {
  MSB_TRY(auto request, file_request(FileOperation::copy, from));
  MSB_CHECK(check_guest_path(to));
  request.target = to_bytes(to);
  return run(sandbox_, request).map([](const auto&) {});
}

Result<> Filesystem::rename(const std::string& from, const std::string& to) const {
  MSB_TRY(auto request, file_request(FileOperation::rename, from));
  MSB_CHECK(check_guest_path(to));
  request.target = to_bytes(to);
  return run(sandbox_, request).map([](const auto&) {});
}

Result<FsMetadata> Filesystem::stat(const std::string& path, SymlinkMode links) const {
  MSB_TRY(auto request, file_request(FileOperation::stat, path));
  request.follow = links == SymlinkMode::follow;
  MSB_TRY(auto outcome, run(sandbox_, request));
  if (!outcome.stat) return fail(ErrorKind::protocol, "the guest answers without a file's attributes");
  return to_metadata(*outcome.stat);
}

Result<bool> Filesystem::exists(const std::string& path) const {
  auto found = stat(path, SymlinkMode::keep);
  if (found) return true;
  // Below a file there is nothing.
  if (found.error().kind() == ErrorKind::path_not_found || found.error().kind() == ErrorKind::not_a_directory)
    return false;
  return fail(std::move(found).error());
}

Result<> Filesystem::set_stat(const std::string& path, const FsAttributes& attributes, SymlinkMode links) const {
  MSB_TRY(auto request, file_request(FileOperation::set_stat, path));
  request.follow = links == SymlinkMode::follow;
  request.mode = attributes.mode;
  request.uid = attributes.uid;
  request.gid = attributes.gid;
  if (attributes.accessed) request.atime_ns = attributes.accessed->time_since_epoch().count();
  if (attributes.modified) request.mtime_ns = attributes.modified->time_since_epoch().count();
  return run(sandbox_, request).map([](const auto&) {});
}

Result<> Filesystem::symlink(const std::string& target, const std::string& path) const {
  MSB_TRY(auto request, file_request(FileOperation::symlink, path));
  MSB_CHECK(check_no_nul(target));
  request.target = to_bytes(target);
  return run(sandbox_, request).map([](const auto&) {});
}

Result<std::string> Filesystem::read_link(const std::string& path) const {
  MSB_TRY(auto request, file_request(FileOperation::read_link, path));
  MSB_TRY(auto outcome, run(sandbox_, request));
  return std::move(outcome.target);
}

Result<std::string> Filesystem::real_path(const std::string& path) const {
  MSB_TRY(auto request, file_request(FileOperation::real_path, path));
  MSB_TRY(auto outcome, run(sandbox_, request));
  return std::move(outcome.target);
}

}  // namespace msb
