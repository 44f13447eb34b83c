// Reading a sandbox's log, across its rotated files, and following it.
#pragma once

#include <functional>
#include <string>

#include "base/fd.h"
#include "base/result.h"
#include "state/database.h"
#include "state/log_format.h"

namespace msb::state {

// Delivers the entries that match, oldest first, until `deliver` returns false. With query.follow it
// goes on until `ended` becomes readable and everything is read; ended < 0 means it has ended already.
// A missing log is an empty one. Lines that are not ours (a crash cut them) are passed over.
Result<> read_log(const std::string& path, const LogQuery& query, const std::function<bool(const LogEntry&)>& deliver,
                  int ended = -1);

// A pidfd of the sandbox's process: readable when it has ended. Empty when it has none.
Result<Fd> watch_sandbox_end(const Home& home, Database& database, const std::string& name);

}  // namespace msb::state
