#include "vmm/exec_log.h"

#include "state/sandboxes.h"

namespace msb::vmm {

void ExecLog::output(Session& session, LogSource source, ByteView data) {
  if (!budget_.take(data.size())) return;
  if (uint64_t missing = budget_.take_refused())
    writer_.system(cat(missing, " bytes of output are not in this log: it came faster than is logged"));
  std::string& unfinished = session.unfinished[source == LogSource::stderr_stream ? 1 : 0];
  std::string text = std::exchange(unfinished, {});
  text += as_text(data);
  size_t cut = state::unfinished_utf8(text);
  unfinished = text.substr(text.size() - cut);
  text.resize(text.size() - cut);
  write(session, source, std::move(text));
}

void ExecLog::end(Session& session) {
  write(session, LogSource::stdout_stream, std::exchange(session.unfinished[0], {}));
  write(session, LogSource::stderr_stream, std::exchange(session.unfinished[1], {}));
}

void ExecLog::write(const Session& session, LogSource source, std::string data) {
  if (data.empty()) return;
  size_t size = data.size();
  size_t line = writer_.write(
      {.timestamp_ms = state::now_ms(), .source = source, .session_id = session.number, .data = std::move(data)});
  budget_.charge(line - std::min(line, size));
}

}  // namespace msb::vmm
