#include "base/regex.hpp"

#include <regex.h>

#include <array>
#include <utility>

#include "base/error.hpp"

namespace tarn::base {

struct Regex::Compiled {
  ::regex_t expression{};
  bool good = false;

  Compiled() = default;
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() {
    if (good) ::regfree(&expression);
  }
};

Result<Regex> Regex::compile(const std::string& pattern) {
  if (pattern.find('\0') != std::string::npos) return fail(ErrorCode::invalid, "the regular expression holds a zero byte");
  auto compiled = std::make_shared<Compiled>();
  const int code = ::regcomp(&compiled->expression, pattern.c_str(), REG_EXTENDED | REG_NOSUB);
  compiled->good = code == 0;
  if (compiled->good) return Regex(std::move(compiled));
  std::array<char, 200> why{};
  ::regerror(code, &compiled->expression, why.data(), why.size());
  return fail(ErrorCode::invalid, "the regular expression '" + pattern + "' is wrong: " + why.data());
}

bool Regex::matches(std::string_view text) const noexcept {
  ::regmatch_t whole{};
  whole.rm_eo = static_cast<regoff_t>(text.size());  // with REG_STARTEND the text needs no end mark
  return ::regexec(&compiled_->expression, text.data(), 0, &whole, REG_STARTEND) == 0;
}

}  // namespace tarn::base
