// What the commands share that are about several things: `ls` in its three forms, and doing the same to each of them.
//
//   Listing listing({"NAME", "SIZE"});
//   for (const auto& info : volumes) listing.add(info.name, {info.name, size(info)}, to_json(info));
//   listing.print(format, quiet);
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/json_output.h"
#include "cli/output.h"

namespace msb::cli {

class Listing {
 public:
  explicit Listing(std::vector<std::string> header) : table_(std::move(header)) {}
  // `id` is what -q prints, the cells are for people, the object is for programs.
  void add(std::string id, std::vector<std::string> cells, Json object);
  void print(Format format, Quiet quiet) const;

 private:
  std::vector<std::string> ids_;
  Table table_;
  Json objects_ = Json::array();
};

// Does it to each of them, whatever becomes of the others; ticks those that went well ("✓ Removed   demo") and reports
// the rest. Returns the exit code.
int for_each_name(const std::vector<std::string>& names, std::string_view verb, Quiet quiet,
                  const std::function<Result<>(const std::string&)>& action);

}  // namespace msb::cli
