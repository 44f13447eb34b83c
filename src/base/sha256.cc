#include "base/sha256.h"

// The plain functions, which OpenSSL 3 would rather see replaced by EVP: those load a provider with every algorithm
// there is, and openssl.cnf, at the first digest of a process. Here a name is hashed in nearly every command.
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

namespace msb {

struct Sha256::State : SHA256_CTX {};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  ::SHA256_Init(state_.get());
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(ByteView bytes) {
  ::SHA256_Update(state_.get(), bytes.data(), bytes.size());
}

Sha256::Digest Sha256::finish() {
  Digest digest{};
  ::SHA256_Final(digest.data(), state_.get());
  return digest;
}

std::string Sha256::finish_hex() {
  return to_hex(finish());
}

std::string sha256_hex(ByteView bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish_hex();
}

std::string to_hex(ByteView bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  return text;
}

}  // namespace msb
