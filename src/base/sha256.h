// SHA-256 over OpenSSL (SHA-NI where there is any). Host only: the agent does not link it.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "base/bytes.h"

namespace msb {

class Sha256 {
 public:
  using Digest = std::array<uint8_t, 32>;
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(ByteView bytes);
  Digest finish();  // once
  std::string finish_hex();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(ByteView bytes);
std::string to_hex(ByteView bytes);

}  // namespace msb
