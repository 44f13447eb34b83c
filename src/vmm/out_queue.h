// OutQueue: what a slow peer has not taken yet. Writes at once what the socket takes and keeps the rest.
#pragma once

#include <deque>

#include "base/bytes.h"
#include "base/result.h"

namespace msb::vmm {

class OutQueue {
 public:
  // Both write to a non-blocking socket; an error means that the peer is gone.
  Result<> send(int socket, ByteView bytes);
  Result<> flush(int socket);

  size_t pending() const { return pending_; }
  bool empty() const { return pending_ == 0; }

 private:
  void keep(ByteView bytes);
  std::deque<Bytes> chunks_;
  size_t first_offset_ = 0;  // of the front chunk, how much has been written
  size_t pending_ = 0;
};

}  // namespace msb::vmm
