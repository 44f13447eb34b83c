#include "image/challenge.h"

#include <cctype>

namespace msb::image {
namespace {

constexpr size_t kMaxChallenges = 16;
constexpr size_t kMaxParams = 32;

class Scanner {
 public:
  explicit Scanner(std::string_view text) : rest_(text) {}

  bool done() const { return rest_.empty(); }
  void skip_separators() {
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t' || rest_.front() == ','))
      rest_.remove_prefix(1);
  }
  void skip_one() { rest_.remove_prefix(1); }
  bool skip_equals() {
    std::string_view probe = rest_;
    while (!probe.empty() && (probe.front() == ' ' || probe.front() == '\t')) probe.remove_prefix(1);
    if (probe.empty() || probe.front() != '=') return false;
    rest_ = probe.substr(1);
    while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
    return true;
  }
  std::string token() {
    size_t size = 0;
    while (size < rest_.size() && is_token(rest_[size])) ++size;
    std::string out(rest_.substr(0, size));
    rest_.remove_prefix(size);
    return out;
  }
  std::string value() {
    if (rest_.empty() || rest_.front() != '"') return token();
    std::string out;
    size_t i = 1;
    for (; i < rest_.size() && rest_[i] != '"'; ++i) {
      if (rest_[i] == '\\' && i + 1 < rest_.size()) ++i;
      out.push_back(rest_[i]);
    }
    rest_.remove_prefix(std::min(i + 1, rest_.size()));
    return out;
  }

 private:
  static bool is_token(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) ||
           std::string_view("!#$%&'*+-.^_`|~/:").find(c) != std::string_view::npos;
  }
  std::string_view rest_;
};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

std::vector<Challenge> parse_challenges(std::string_view header) {
  std::vector<Challenge> out;
  Scanner scan(header);
  for (scan.skip_separators(); !scan.done(); scan.skip_separators()) {
    std::string word = scan.token();
    if (word.empty()) {
      scan.skip_one();
      continue;
    }
    if (scan.skip_equals()) {
      std::string value = scan.value();
      if (!out.empty() && out.back().params.size() < kMaxParams)
        out.back().params.try_emplace(lower(std::move(word)), std::move(value));
    } else if (out.size() < kMaxChallenges) {
      out.push_back({lower(std::move(word)), {}});
    } else {
      break;
    }
  }
  return out;
}

}  // namespace msb::image
