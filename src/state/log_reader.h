// Reading a sandbox's logs, across their rotated files, and following them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "state/database.h"
#include "state/log_format.h"

namespace msb::state {

using DeliverEntry = std::function<bool(const LogEntry&)>;

// Delivers the entries that match, oldest first, until `deliver` returns false. Several logs are told as one story, in
// order of time: they are bounded, so what there is of them fits in memory. With query.follow it goes on, with
// each log's entries as they come, until `ended` becomes readable and everything is read; ended < 0 means it has
// ended already. A missing log is an empty one. Lines that are not ours (a crash cut them) are passed over.
Result<> read_logs(const std::vector<std::string>& paths, const LogQuery& query, const DeliverEntry& deliver,
                   int ended = -1);
inline Result<> read_log(const std::string& path, const LogQuery& query, const DeliverEntry& deliver, int ended = -1) {
  return read_logs({path}, query, deliver, ended);
}

// A pidfd of the sandbox's process: readable when it has ended. Empty when it has none.
Result<Fd> watch_sandbox_end(const Home& home, Database& database, const std::string& name);

}  // namespace msb::state
