#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "image/image_store.h"
#include "image/tar_unpack.h"
#include "sandbox/content_digest.h"
#include "sandbox/snapshot_archive.h"
#include "sandbox/validate.h"
#include "state/draft.h"

namespace msb {
namespace {

using image::TarEntry;
using image::TarSegment;
using image::TarType;
using nlohmann::json;
using state::SnapshotFile;

constexpr std::string_view kRecord = state::kSnapshotRecord;
constexpr size_t kMaxText = size_t{1} << 20;
constexpr size_t kManifestHex = 64;

Error corrupt(std::string what) {
  return Error(ErrorKind::corrupt, cat("this is no archive of a snapshot, or a damaged one: ", what));
}

// One snapshot on its way in.
struct Incoming {
  std::string name;
  state::Draft draft;
  state::SnapshotRecord record;
  std::string id;
  std::map<std::string, std::string> digests;
  std::map<std::string, bool> seen;  // by file
};

class Reader final : public image::TarSink {
 public:
  Reader(const state::Home& home, std::string work) : home_(home), work_(std::move(work)) {}

  Result<> begin_entry(TarEntry& entry) override {
    target_ = Fd();
    text_.clear();
    path_ = entry.path;
    if (entry.type != TarType::file) return fail(corrupt(cat("'", entry.path, "' is not a file")));
    const size_t slash = path_.find('/');
    if (slash == std::string::npos) return begin_image(entry);
    const std::string name = path_.substr(0, slash), file = path_.substr(slash + 1);
    MSB_CHECK(check_name(name, "a snapshot"));
    const bool text = file == kRecord || file == kArchivedDigests;
    if (text && (entry.sparse || entry.size > kMaxText)) return fail(corrupt(cat("'", path_, "' is too large")));
    if (text) return {};
    return begin_file(name, file, entry);
  }

  Result<> data(ByteView bytes) override {
    if (!target_) {
      text_ += as_text(bytes);
      return {};
    }
    while (!bytes.empty()) {
      if (segment_ >= segments_.size()) return fail(corrupt(cat("'", path_, "' is longer than it says")));
      const auto& segment = segments_[segment_];
      const auto part = bytes.first(std::min<uint64_t>(bytes.size(), segment.length - done_));
      MSB_CHECK(pwrite_full(target_.get(), part, segment.offset + done_));
      done_ += part.size();
      bytes = bytes.subspan(part.size());
      if (done_ == segment.length) {
        ++segment_;
        done_ = 0;
      }
    }
    return {};
  }

  Result<> end_entry() override {
    if (target_) return {};
    const size_t slash = path_.find('/');
    if (slash == std::string::npos) return {};
    const std::string name = path_.substr(0, slash);
    return path_.substr(slash + 1) == kRecord ? take_record(name) : take_digests(name);
  }

  Result<std::vector<std::string>> finish();

 private:
  Result<> begin_image(const TarEntry& entry) {
    const bool named_so = path_.size() == kArchivedImagePrefix.size() + kManifestHex + kArchivedImageSuffix.size() &&
                          path_.starts_with(kArchivedImagePrefix) && path_.ends_with(kArchivedImageSuffix);
    const std::string digest =
        named_so ? cat("sha256:", std::string_view(path_).substr(kArchivedImagePrefix.size(), kManifestHex)) : "";
    auto wanted = [&](const Incoming& incoming) { return incoming.record.manifest_digest == digest; };
    // A digest that a description has was found to be one.
    if (!named_so || std::ranges::none_of(incoming_, wanted))
      return fail(corrupt(cat("'", path_.substr(0, 200), "' is not an image that its snapshots name")));
    const std::string target = cat(work_, "/", path_);
    if (!images_.emplace(digest, target).second) return fail(corrupt(cat("'", path_, "' is there twice")));
    return open_target(target, entry);
  }
  Result<> begin_file(const std::string& name, const std::string& file, const TarEntry& entry) {
    Incoming* incoming = find(name);
    if (!incoming) return fail(corrupt(cat("'", path_, "' comes before its description")));
    auto known = std::ranges::find(incoming->record.files, file, &SnapshotFile::file);
    if (known == incoming->record.files.end() || std::exchange(incoming->seen[file], true))
      return fail(corrupt(cat("'", path_, "' is not in the snapshot's description, or there twice")));
    if (known->size != entry.size)
      return fail(corrupt(cat("'", path_, "' has ", entry.size, " bytes instead of ", known->size)));
    return open_target(cat(incoming->draft.path(), "/", file), entry);
  }
  Result<> open_target(const std::string& path, const TarEntry& entry) {
    MSB_TRY(target_, open_file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    if (::ftruncate(target_.get(), static_cast<off_t>(entry.size)) < 0) return fail_errno(cat("make ", path_));
    segments_ = entry.sparse ? entry.segments : std::vector<TarSegment>{{0, entry.size}};
    std::erase_if(segments_, [](const auto& segment) { return segment.length == 0; });
    segment_ = 0;
    done_ = 0;
    return {};
  }
  Result<> take_record(const std::string& name) {
    if (find(name)) return fail(corrupt(cat("the snapshot '", name, "' is described twice")));
    if (incoming_.size() == kMaxArchivedSnapshots)
      return fail(corrupt(cat("there are more than ", kMaxArchivedSnapshots, " in it")));
    MSB_TRY(auto record, state::snapshot_from_text(text_));
    // As it was written: the id is of these bytes.
    const std::string id = state::snapshot_id(text_);
    MSB_TRY(auto there, state::find_snapshot(home_, name));
    if (there && there->id != id)
      return fail(Error(ErrorKind::snapshot_already_exists, cat("another snapshot named '", name, "' already exists"))
                      .hint(cat("remove it first, with `msb snapshot rm ", name, "`")));
    MSB_TRY(auto draft, state::Draft::begin(home_));
    MSB_CHECK(write_file_atomic(cat(draft.path(), "/", kRecord), text_));
    incoming_.push_back({name, std::move(draft), std::move(record), id, {}, {}});
    return {};
  }
  Result<> take_digests(const std::string& name) {
    Incoming* incoming = find(name);
    if (!incoming || !incoming->digests.empty())
      return fail(corrupt(cat("'", path_, "' comes before the description, or is there twice")));
    try {
      incoming->digests = json::parse(text_).get<std::map<std::string, std::string>>();
    } catch (const std::exception& error) {
      return fail(corrupt(cat("'", path_, "': ", error.what())));
    }
    if (incoming->digests.size() != incoming->record.files.size())
      return fail(corrupt(cat("'", path_, "' is not about the files of its snapshot")));
    return {};
  }
  Incoming* find(const std::string& name) {
    auto found = std::ranges::find(incoming_, name, &Incoming::name);
    return found == incoming_.end() ? nullptr : &*found;
  }
  Result<> check(const Incoming& incoming) const {
    for (const auto& file : incoming.record.files) {
      const std::string name = cat(incoming.name, "/", file.file);
      if (!incoming.seen.contains(file.file)) return fail(corrupt(cat("'", name, "' is missing")));
      MSB_TRY(Fd opened, open_file(cat(incoming.draft.path(), "/", file.file)));
      MSB_TRY(std::string digest, content_digest(opened.get()));
      const auto recorded = incoming.digests.find(file.file);
      const bool whole = recorded != incoming.digests.end() && recorded->second == digest;
      if (!whole || (!file.integrity.empty() && file.integrity != digest))
        return fail(
            Error(ErrorKind::snapshot_integrity, cat("'", name, "' is damaged: its contents have another digest"))
                .hint("get the archive again"));
      if (::fsync(opened.get()) < 0) return fail_errno(cat("write ", name));
    }
    return {};
  }
  // The manifest that the image has here.
  Result<std::string> load_image(const std::string& digest, const std::string& archive) const {
    MSB_TRY(auto store, image::ImageStore::open(home_));
    MSB_TRY(auto there, store->cached(digest, "image"));
    if (there) return digest;
    // Under a name of its own: what the user has under the image's name stays what it is.
    const std::string tag = cat("msb-snapshot/", digest.substr(7, 16), ":loaded");
    MSB_TRY(auto loaded, store->load(archive, {tag}, {}));
    if (loaded.empty()) return fail(corrupt("its image is empty"));
    return loaded.front().manifest_digest;
  }

  const state::Home& home_;
  std::string work_;
  std::vector<Incoming> incoming_;
  std::map<std::string, std::string> images_;  // manifest: archive
  // The entry that is being read.
  std::string path_, text_;
  Fd target_;
  std::vector<TarSegment> segments_;
  size_t segment_ = 0;
  uint64_t done_ = 0;
};

Result<std::vector<std::string>> Reader::finish() {
  if (incoming_.empty()) return fail(corrupt("there is no snapshot in it"));
  for (auto& incoming : incoming_) MSB_CHECK(check(incoming));
  std::map<std::string, std::string> here;
  for (const auto& [digest, archive] : images_) {
    MSB_TRY(here[digest], load_image(digest, archive));
  }
  std::vector<std::string> names;
  MSB_CHECK(home_.make_dir(home_.snapshots_dir()));
  for (auto& incoming : incoming_) {
    auto image = here.find(incoming.record.manifest_digest);
    if (image != here.end() && image->second != image->first)
      MSB_CHECK(state::note_local_image(incoming.draft.path(), image->second));
    MSB_TRY(bool placed, incoming.draft.publish(home_.snapshot_dir(incoming.name)));
    if (placed) names.push_back(incoming.name);
  }
  return names;
}

}  // namespace

Result<std::vector<std::string>> read_snapshot_archive(int fd, const state::Home& home) {
  MSB_TRY(auto work, state::Draft::begin(home));
  Reader reader(home, work.path());
  MSB_CHECK(image::unpack_tar(fd, reader));
  return reader.finish();
}

}  // namespace msb
