// Where the msb program is: the library starts it as the sandbox process.
#pragma once

#include <string>

#include "base/result.h"

namespace msb {

// MSB_PATH, else this very program when it is msb, else next to the library (./msb, ../bin/msb), else
// PATH. ErrorKind::runtime says what to set when it is nowhere.
Result<std::string> find_msb();

}  // namespace msb
