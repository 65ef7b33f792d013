#include "job/deadline.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>

#include "base/error.hpp"
#include "job/command.hpp"

namespace tarn::job {

namespace {

constexpr std::string_view kField = " EndTime=";  // after " StartTime=..."

std::optional<std::int64_t> parse_time(const std::string& text) {
  std::int64_t seconds = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (error == std::errc() && end == text.data() + text.size()) return seconds;
  std::tm local{};
  const char* const rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &local);
  if (rest == nullptr || *rest != '\0') return std::nullopt;
  local.tm_isdst = -1;
  return std::mktime(&local);
}

}  // namespace

Result<std::optional<std::int64_t>> parse_end_time(std::string_view text) {
  std::optional<std::int64_t> earliest;
  bool found = false;
  for (std::size_t at = text.find(kField); at != std::string_view::npos; at = text.find(kField, at + 1)) {
    const std::string_view rest = text.substr(at + kField.size());
    const std::string value(rest.substr(0, rest.find_first_of(" \n")));
    found = true;
    if (value == "Unknown" || value == "NONE" || value == "N/A" || value == "(null)") continue;
    const auto time = parse_time(value);
    if (!time) return fail(ErrorCode::invalid, "scontrol says EndTime=" + value.substr(0, 80) + ", which is not a time as expected");
    earliest = std::min(earliest.value_or(*time), *time);
  }
  if (!found) return fail(ErrorCode::invalid, "scontrol names no EndTime of the job");
  return earliest;
}

Result<std::optional<std::int64_t>> job_deadline(const JobEnv& env, const Environment& environment, std::chrono::milliseconds limit) {
  if (env.end_time_s || !env.in_slurm()) return env.end_time_s;
  Environment asking = environment;
  asking["SLURM_TIME_FORMAT"] = "%s";  // no time zone to guess
  TARN_TRY(const std::string text, output_of({"scontrol", "--oneliner", "show", "job", job_name(env)}, asking, limit));
  return parse_end_time(text);
}

}  // namespace tarn::job
