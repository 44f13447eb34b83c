// The vocabulary for returning and passing on errors.
//
//   MSB_TRY(auto fd, open_file(path));            // declares fd or returns the error
//   MSB_CHECK(write_full(fd.get(), bytes));       // returns the error
//   MSB_CHECK_CTX(do_it(), "while saving");       // the same, with a phrase for the trail
//   return fail(ErrorKind::io, cat("disk ", name, " is full"));
//   return fail_errno(cat("open ", path));        // errno of the call just made
#pragma once

#include <cerrno>
#include <utility>

#include <microsandbox/result.h>

#include "base/cat.h"

namespace msb {

inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}
inline tl::unexpected<Error> fail(ErrorKind kind, std::string message) {
  return tl::unexpected<Error>(Error(kind, std::move(message)));
}
inline tl::unexpected<Error> fail_errno(std::string_view what, int errnum = errno) {
  return tl::unexpected<Error>(Error::from_errno(errnum, what));
}

#define MSB_CONCAT_INNER(a, b) a##b
#define MSB_CONCAT(a, b) MSB_CONCAT_INNER(a, b)

#define MSB_TRY_IMPL(tmp, decl, ...)                    \
  auto tmp = (__VA_ARGS__);                             \
  if (!tmp) return ::msb::fail(std::move(tmp).error()); \
  decl = std::move(*tmp)
#define MSB_TRY(decl, ...) MSB_TRY_IMPL(MSB_CONCAT(msb_try_, __LINE__), decl, __VA_ARGS__)

#define MSB_CHECK(...)                                                                                   \
  do {                                                                                                   \
    if (auto msb_check_ = (__VA_ARGS__); !msb_check_) return ::msb::fail(std::move(msb_check_).error()); \
  } while (0)

#define MSB_CHECK_CTX(expr, phrase)                                                 \
  do {                                                                              \
    if (auto msb_check_ = (expr); !msb_check_)                                      \
      return ::msb::fail(std::move(std::move(msb_check_).error()).context(phrase)); \
  } while (0)

}  // namespace msb
