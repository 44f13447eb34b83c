#include "sandbox/file_stream.h"

#include <algorithm>

#include "tree/tree_sink.h"

namespace msb {
namespace {

ErrorKind kind_of_errno(int errnum) {
  switch (errnum) {
    case ENOENT:
      return ErrorKind::path_not_found;
    case EEXIST:
      return ErrorKind::path_already_exists;
    case EISDIR:
      return ErrorKind::is_a_directory;
    case ENOTDIR:
      return ErrorKind::not_a_directory;
    case EACCES:
    case EPERM:
    case EROFS:
      return ErrorKind::permission_denied;
    default:
      return ErrorKind::filesystem;
  }
}

}  // namespace

Error as_file_error(Error error) {
  int errnum = error.errnum();
  return errnum != 0 && error.kind() == ErrorKind::io ? std::move(error).as(kind_of_errno(errnum)) : error;
}

Result<FileStream> FileStream::start(std::string sandbox, AgentConnection connection, wire::FileRequest request) {
  FileStream stream(std::move(sandbox), std::move(connection));
  request.window = wire::kStreamWindow;
  MSB_CHECK(stream.connection_.write(wire::make_frame(stream.id_, wire::kFlagSessionStart, request),
                                     deadline_after(kConnectTimeout)));
  return stream;
}

Result<> FileStream::step() {
  MSB_TRY(auto frame, connection_.receive(std::nullopt));
  if (frame.id != id_) return {};
  MSB_TRY(auto envelope, wire::open_envelope(frame.body));
  if (envelope.type == wire::FileData::kType) {
    MSB_TRY(auto message, wire::decode<wire::FileData>(envelope.payload));
    if (message.data.size() > allowance_)
      return fail(ErrorKind::protocol, "the guest sends more than its window allows");
    allowance_ -= message.data.size();
    if (!message.data.empty()) data_ = message.data;
  } else if (envelope.type == wire::FileCredit::kType || envelope.type == wire::FileStarted::kType) {
    // A sum that would overflow is a guest's nonsense; this much is as good as no limit.
    constexpr uint64_t kPlenty = uint64_t{1} << 40;
    uint64_t more = 0;
    if (envelope.type == wire::FileStarted::kType) {
      MSB_TRY(auto message, wire::decode<wire::FileStarted>(envelope.payload));
      if (std::exchange(started_, true)) return fail(ErrorKind::protocol, "the guest started an operation twice");
      more = message.window;
    } else {
      MSB_TRY(auto message, wire::decode<wire::FileCredit>(envelope.payload));
      more = message.bytes;
    }
    credit_ = std::min(kPlenty, credit_ + std::min(kPlenty, more));
  } else if (envelope.type == wire::FileResult::kType) {
    MSB_TRY(auto message, wire::decode<wire::FileResult>(envelope.payload));
    return take_result(message);
  } else if (envelope.type == wire::ProtocolError::kType) {
    MSB_TRY(auto message, wire::decode<wire::ProtocolError>(envelope.payload));
    return fail(ErrorKind::protocol,
                cat("the guest refused a message: ", tree::printable_path(message.message), " (", message.kind, ")"));
  }
  return {};
}

Result<> FileStream::take_result(const wire::FileResult& result) {
  done_ = true;
  if (result.errnum != 0) {
    // The text is the guest's: kept to one line of bounded length.
    std::string text = tree::printable_path(std::string_view(result.message).substr(0, 2 * tree::kMaxPath));
    return fail(
        Error(kind_of_errno(result.errnum), cat("sandbox '", sandbox_, "': ", text)).with_errnum(result.errnum));
  }
  outcome_.stat = result.stat;
  outcome_.target = as_text(result.target.first(std::min(result.target.size(), tree::kMaxPath)));
  return {};
}

Result<std::optional<ByteView>> FileStream::read() {
  if (taken_ >= wire::kStreamWindow / 2) {
    MSB_CHECK(connection_.write(wire::make_frame(id_, 0, wire::FileCredit{taken_}), std::nullopt));
    allowance_ += std::exchange(taken_, 0);
  }
  while (!data_ && !done_) MSB_CHECK(step());
  if (data_) taken_ += data_->size();
  return std::exchange(data_, std::nullopt);
}

Result<> FileStream::write(ByteView bytes) {
  while (!bytes.empty()) {
    if (done_) return fail(ErrorKind::protocol, "the guest ended the operation before its data");
    if (credit_ == 0) {
      MSB_CHECK(step());
      data_.reset();
      continue;
    }
    size_t count = std::min({wire::kMaxChunk, static_cast<size_t>(credit_), bytes.size()});
    std::copy_n(bytes.begin(), count, frame_.room().begin());
    MSB_CHECK(connection_.write(frame_.finish(id_, 0, wire::FileData::kType, count), std::nullopt));
    credit_ -= count;
    bytes = bytes.subspan(count);
  }
  return {};
}

Result<> FileStream::finish() {
  if (!done_) MSB_CHECK(connection_.write(wire::make_frame(id_, 0, wire::FileData{}), std::nullopt));
  return drain();
}

Result<> FileStream::drain() {
  while (true) {
    MSB_TRY(auto data, read());
    if (!data) return {};
  }
}

}  // namespace msb
