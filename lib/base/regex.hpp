// regex.hpp - POSIX extended regular expressions, as `grep -E` has them; std::regex overflows the stack on long texts.
// Level 1 (base). Constant once compiled: any thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <tarn/result.hpp>

namespace tarn::base {

class Regex {
 public:
  /// @errors invalid: names the pattern and what is wrong with it.
  [[nodiscard]] static Result<Regex> compile(const std::string& pattern);
  /// Whether it matches any part of the text; ^ and $ tie it to the ends. Bytes, whatever the locale's characters are.
  [[nodiscard]] bool matches(std::string_view text) const noexcept;

 private:
  struct Compiled;
  explicit Regex(std::shared_ptr<const Compiled> compiled) noexcept : compiled_(std::move(compiled)) {}

  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace tarn::base
