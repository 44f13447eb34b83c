// Any bytes as an archive of snapshots: all of it is entered or nothing, what is entered is sound, and nothing outside
// the home changes.
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/fd.h"
#include "base/temp_dir.h"
#include "image/testing/mend_tar.h"
#include "sandbox/snapshot_archive.h"
#include "sandbox/snapshots.h"

namespace {

using namespace msb;

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "%s\n", why.c_str());
  std::abort();
}

// The descriptor of a memory file with these bytes, as at the beginning of a stream.
Fd stream_of(ByteView bytes) {
  Fd file(::memfd_create("archive", MFD_CLOEXEC));
  if (!pwrite_full(file.get(), bytes, 0)) std::abort();
  return file;
}

void check_entered(const state::Home& home, const std::vector<std::string>& names) {
  for (const auto& name : names) {
    auto snapshot = get_snapshot(home, name);
    if (!snapshot) give_up(snapshot.error().to_string());
    if (auto sound = check_snapshot_contents(*snapshot); !sound) give_up(sound.error().to_string());
    for (const auto& file : names_in(snapshot->directory))
      if (std::ranges::count(names_of(*snapshot), file) != 1) give_up(cat("'", file, "' was entered"));
    if (!remove_tree(snapshot->directory)) std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const TempDir temp = *TempDir::create();
  static const state::Home home = *state::Home::at(temp.path() + "/home");
  const Fd archive = stream_of(image::testing::mend_tar({data, size}, 0));
  const auto names = read_snapshot_archive(archive.get(), home);
  if (names) check_entered(home, *names);
  if (!names_in(home.snapshots_dir()).empty()) give_up("half of it was entered");
  if (!names_in(home.trash_dir()).empty()) give_up("something was left in the trash");
  if (names_in(temp.path()).size() > 1) give_up("something was written outside the home");
  return 0;
}
