// FileStream: one operation on a guest's files (core.fs.request), over a connection of its own.
//
//   MSB_TRY(auto stream, FileStream::start("box", std::move(connection), request));
//   while (true) {
//     MSB_TRY(auto data, stream.read());
//     if (!data) break;                        // the operation is done; how it went is in outcome()
//   }
//
// Flow control: the guest may send wire::kStreamWindow bytes beyond what read() has returned; write() sends no more
// than the guest has granted. A guest that breaks the rules is ErrorKind::protocol, one that says that the operation
// failed is the kind that its errno means. Not thread-safe.
#pragma once

#include <microsandbox/filesystem.h>

#include "sandbox/agent_connection.h"
#include "wire/file_messages.h"
#include "wire/stream_frame.h"

namespace msb {

class FileStream {
 public:
  struct Outcome {
    std::optional<wire::FileStat> stat;
    std::string target;
  };

  // `sandbox` is its name, for messages.
  static Result<FileStream> start(std::string sandbox, AgentConnection connection, wire::FileRequest request);

  // The next data; valid until the next call. nullopt when the operation has succeeded.
  Result<std::optional<ByteView>> read();
  // Waits for the guest's grants. An operation that has failed meanwhile says so here.
  Result<> write(ByteView bytes);
  // The end of what is written; then as far as the result.
  Result<> finish();
  // What is left is data nobody wants: reads to the result.
  Result<> drain();

  const Outcome& outcome() const { return outcome_; }

 private:
  FileStream(std::string sandbox, AgentConnection connection)
      : sandbox_(std::move(sandbox)), connection_(std::move(connection)), id_(connection_.first_id()) {}
  // Handles one frame; data is left in `data_`.
  Result<> step();
  Result<> take_result(const wire::FileResult& result);

  std::string sandbox_;
  AgentConnection connection_;
  uint32_t id_;
  uint64_t allowance_ = wire::kStreamWindow;  // what the guest may still send
  uint64_t taken_ = 0;                        // returned by read(), not granted again yet
  uint64_t credit_ = 0;                       // what we may send
  bool started_ = false;
  bool done_ = false;
  std::optional<ByteView> data_;
  Outcome outcome_;
  wire::StreamFrame frame_;
};

// ErrorKind::io from a copy's host side becomes the kind that its errno means.
Error as_file_error(Error error);

}  // namespace msb
