#include "cli/listing.h"

#include "cli/invocation.h"

namespace msb::cli {

void Listing::add(std::string id, std::vector<std::string> cells, Json object) {
  ids_.push_back(std::move(id));
  table_.row(std::move(cells));
  objects_.push_back(std::move(object));
}

void Listing::print(Format format, Quiet quiet) const {
  if (quiet == Quiet::yes) {
    for (const auto& id : ids_) print_line(id);
  } else if (format == Format::json) {
    print_line(json_text(objects_));
  } else {
    table_.print();
  }
}

int for_each_name(const std::vector<std::string>& names, std::string_view verb, Quiet quiet,
                  const std::function<Result<>(const std::string&)>& action) {
  int exit_code = 0;
  for (const auto& name : names) {
    const auto started = std::chrono::steady_clock::now();
    if (auto outcome = action(name); !outcome) {
      exit_code = kExitFailure;
      report(outcome.error());
      continue;
    }
    const auto took = std::chrono::steady_clock::now() - started;
    success(quiet, verb, name, std::chrono::duration_cast<std::chrono::milliseconds>(took));
  }
  return exit_code;
}

}  // namespace msb::cli
