#include "fence/testing/look.h"

#include <sstream>

#include "base/fd.h"

namespace msb::fence::testing {

const std::string& probe() {
  static const std::string path = FENCE_PROBE_PATH;
  return path;
}

Result<Seen> look(const Look& options) {
  MSB_TRY(Fd null, open_file("/dev/null"));
  MSB_TRY(Pipe output, make_pipe());
  FencedCommand command;
  command.argv = {probe()};
  command.argv.insert(command.argv.end(), options.attempts.begin(), options.attempts.end());
  command.files = {{probe(), FenceFile::Use::execute}};
  command.files.insert(command.files.end(), options.more_files.begin(), options.more_files.end());
  command.fds = {{null.get(), 0}, {output.write.get(), 1}, {output.write.get(), 2}};
  command.seccomp = options.seccomp;
  command.without = options.without;
  command.cgroup = options.cgroup;
  command.directories = options.directories;
  MSB_TRY(FencedChild fenced, start_fenced(command));
  output.write.reset();
  MSB_TRY(Bytes text, read_all(output.read.get(), 65536));
  Seen seen;
  std::istringstream lines{std::string(as_text(text))};
  for (std::string name, result; lines >> name >> std::ws && std::getline(lines, result);) seen.results[name] = result;
  MSB_TRY(seen.status, fenced.child.wait());
  seen.walls = std::move(fenced.walls);
  return seen;
}

}  // namespace msb::fence::testing
