// Copies between guests, the host and archives: a source of a tree, and a sink for it.
#include "sandbox/filesystem_copy.h"

#include <sys/stat.h>

#include <cstdlib>

#include "base/cleanup.h"
#include "sandbox/filesystem_paths.h"
#include "sandbox/tree_tar.h"
#include "tree/tree_reader.h"
#include "tree/tree_stream.h"
#include "tree/tree_writer.h"

namespace msb {
namespace {

using wire::FileOperation;

template <class T>
Result<T> as_file_result(Result<T> outcome) {
  if (outcome) return outcome;
  return fail(as_file_error(std::move(outcome).error()));
}

// The path of a source whose own name is not in it ("..") is resolved, so that the copy has a name.
bool lacks_a_name(const std::string& path) {
  std::string trimmed = path.substr(0, path.find_last_not_of('/') + 1);
  return trimmed == ".." || trimmed.ends_with("/..");
}

Result<CopySource> host_source(const std::string& path, const CopyOptions& options) {
  MSB_CHECK(check_no_nul(path));
  struct stat status;
  bool follow = options.source_link == SymlinkMode::follow;
  int found = follow ? ::stat(path.c_str(), &status) : ::lstat(path.c_str(), &status);
  if (found < 0) return fail(as_file_error(Error::from_errno(errno, cat("read ", tree::printable_path(path)))));
  CopySource source{path, S_ISDIR(status.st_mode)};
  if (!lacks_a_name(path)) return source;
  char* resolved = ::realpath(path.c_str(), nullptr);
  if (!resolved) return fail(as_file_error(Error::from_errno(errno, cat("resolve ", tree::printable_path(path)))));
  Cleanup release([&] { std::free(resolved); });  // NOLINT(cppcoreguidelines-no-malloc): realpath's
  source.path = resolved;
  return source;
}

// A copy onto a device or FIFO would replace it, which nobody means who names one.
tl::unexpected<Error> refuse_special(const std::string& path) {
  return fail(Error(ErrorKind::filesystem, cat(tree::printable_path(path), " is neither a file nor a directory"))
                  .hint("to read or write a stream, copy from or to `-`"));
}

Result<Destination> host_destination(const std::string& path) {
  MSB_CHECK(check_no_nul(path));
  struct stat status;
  if (::stat(path.c_str(), &status) == 0) {
    if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) return refuse_special(path);
    return S_ISDIR(status.st_mode) ? Destination::directory : Destination::file;
  }
  if (errno == ENOENT) {
    // A link that leads nowhere is replaced, never written through.
    return ::lstat(path.c_str(), &status) == 0 ? Destination::file : Destination::missing;
  }
  return fail(as_file_error(Error::from_errno(errno, cat("look at ", tree::printable_path(path)))));
}

Result<CopySource> guest_source(const Filesystem& fs, const std::string& path, const CopyOptions& options) {
  // A slash at the end asks for the directory that a link leads to.
  bool follow = options.source_link == SymlinkMode::follow || path.ends_with('/');
  MSB_TRY(auto found, fs.stat(path, follow ? SymlinkMode::follow : SymlinkMode::keep));
  CopySource source{path, found.kind == FsEntryKind::directory};
  if (lacks_a_name(path)) {
    MSB_TRY(source.path, fs.real_path(path));
  }
  return source;
}

Result<Destination> guest_destination(const Filesystem& fs, const std::string& path) {
  auto found = fs.stat(path);
  if (found && found->kind == FsEntryKind::other) return refuse_special(path);
  if (found) return found->kind == FsEntryKind::directory ? Destination::directory : Destination::file;
  if (found.error().kind() != ErrorKind::path_not_found) return fail(std::move(found).error());
  MSB_TRY(bool there, fs.exists(path));
  return there ? Destination::file : Destination::missing;
}

Result<FileStream> start_import(const std::string& sandbox, const CopyTarget& target) {
  MSB_TRY(auto request, file_request(FileOperation::import_tree, target.path));
  request.into = target.into;
  return start_file_operation(sandbox, request);
}

Result<FileStream> start_export(const std::string& sandbox, const std::string& path, const CopyOptions& options) {
  MSB_TRY(auto request, file_request(FileOperation::export_tree, path));
  request.follow = options.source_link == SymlinkMode::follow;
  return start_file_operation(sandbox, request);
}

}  // namespace

Result<> receive_tree(FileStream& stream, tree::TreeSink& sink) {
  tree::TreeDecoder decoder(sink);
  while (true) {
    MSB_TRY(auto data, stream.read());
    if (!data) return decoder.finish();
    MSB_CHECK(decoder.feed(*data));
  }
}

Result<CopyReport> receive_files(FileStream& stream, const CopyTarget& target) {
  auto write = [&](tree::TreeWriter writer) -> Result<CopyReport> {
    MSB_CHECK(as_file_result(receive_tree(stream, writer)));
    return CopyReport{writer.skipped()};
  };
  if (target.into) {
    auto root = as_file_result(open_file(target.path, O_RDONLY | O_DIRECTORY));
    if (!root) return fail(std::move(root).error());
    return write(tree::TreeWriter(std::move(*root), tree::Trust::foreign));
  }
  std::string name;
  MSB_TRY(Fd parent, as_file_result(tree::open_parent(target.path, name)));
  return write(tree::TreeWriter(std::move(parent), name, tree::Trust::foreign));
}

Result<CopyReport> Filesystem::copy_to_host(const std::string& from, const std::string& to,
                                            const CopyOptions& options) const {
  MSB_TRY(auto source, guest_source(*this, from, options));
  MSB_TRY(auto found, host_destination(to));
  MSB_TRY(auto target, plan_copy(source, to, found));
  MSB_TRY(auto stream, start_export(sandbox_, source.path, options));
  return receive_files(stream, target);
}

Result<CopyReport> Filesystem::copy_from_host(const std::string& from, const std::string& to,
                                              const CopyOptions& options) const {
  MSB_TRY(auto source, host_source(from, options));
  MSB_TRY(auto found, guest_destination(*this, to));
  MSB_TRY(auto target, plan_copy(source, to, found));
  MSB_TRY(auto stream, start_import(sandbox_, target));
  tree::TreeEncoder encoder([&](ByteView bytes) { return stream.write(bytes); });
  bool follow = options.source_link == SymlinkMode::follow;
  MSB_CHECK(as_file_result(tree::read_tree(source.path, {.follow = follow, .as_root = true}, encoder)));
  MSB_CHECK(encoder.finish());
  MSB_CHECK(stream.finish());
  return CopyReport{};
}

Result<CopyReport> Filesystem::copy_to_guest(const std::string& from, const Filesystem& other, const std::string& to,
                                             const CopyOptions& options) const {
  MSB_TRY(auto source, guest_source(*this, from, options));
  MSB_TRY(auto found, guest_destination(other, to));
  MSB_TRY(auto target, plan_copy(source, to, found));
  MSB_TRY(auto input, start_export(sandbox_, source.path, options));
  MSB_TRY(auto output, start_import(other.sandbox_, target));
  while (true) {
    MSB_TRY(auto data, input.read());
    if (!data) break;
    MSB_CHECK(output.write(*data));
  }
  MSB_CHECK(output.finish());
  return CopyReport{};
}

Result<> Filesystem::write_tar(const std::string& path, const Output& output, const CopyOptions& options) const {
  MSB_TRY(auto source, guest_source(*this, path, options));
  std::string name = ".";
  if (!means_contents(source.path)) {
    // As if it were copied into a directory, so that the same names are refused.
    MSB_TRY(auto target, plan_copy(source, "/", Destination::directory));
    name = target.path.substr(1);
  }
  MSB_TRY(auto stream, start_export(sandbox_, source.path, options));
  TarTreeSink sink(name, [&](ByteView bytes) { return output(as_text(bytes)); });
  MSB_CHECK(receive_tree(stream, sink));
  return sink.finish();
}

Result<> Filesystem::extract_tar(const Input& input, const std::string& directory) const {
  MSB_TRY(auto found, stat(directory));
  if (found.kind != FsEntryKind::directory)
    return fail(ErrorKind::not_a_directory, cat(tree::printable_path(directory), " is not a directory"));
  MSB_TRY(auto stream, start_import(sandbox_, {directory, true}));
  tree::TreeEncoder encoder([&](ByteView bytes) { return stream.write(bytes); });
  TreeTarSink sink(encoder);
  image::TarParser parser(sink);
  std::vector<char> buffer(wire::kMaxChunk);
  while (true) {
    MSB_TRY(size_t count, input(buffer));
    if (count == 0) break;
    MSB_CHECK(parser.feed(as_bytes({buffer.data(), count})));
  }
  MSB_CHECK(parser.finish());
  MSB_CHECK(sink.finish());
  MSB_CHECK(encoder.finish());
  return stream.finish();
}

}  // namespace msb
