// Where a copy goes: the rules of `docker cp`, apart from any file.
//
//   source          destination            becomes
//   file f          missing                destination (which must not end in "/")
//   file f          file                   destination, replaced
//   file f          directory              destination/f
//   directory d     missing                destination
//   directory d     file                   an error
//   directory d     directory              destination/d
//   directory d/.   directory              destination: what is in d goes into it
#pragma once

#include <string>

#include "base/result.h"

namespace msb {

struct CopySource {
  std::string path;  // as the user wrote it
  bool is_directory = false;
};

enum class Destination { missing, file, directory };

// Below which name, in which directory; or straight into a directory.
struct CopyTarget {
  std::string path;
  bool into = false;  // `path` is a directory that exists, and becomes the root
};

// "." and what ends in "/." or is nothing but "/": what is in the directory, not the directory itself.
bool means_contents(const std::string& path);

// Failures: not_a_directory, path_not_found, invalid_config.
Result<CopyTarget> plan_copy(const CopySource& source, const std::string& destination, Destination found);

}  // namespace msb
