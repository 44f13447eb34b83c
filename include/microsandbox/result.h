// Result<T>: a value or an Error. No function of this library throws.
#pragma once

#include <tl/expected.hpp>

#include <microsandbox/error.h>

namespace msb {

template <class T = void>
using Result = tl::expected<T, Error>;

}  // namespace msb
