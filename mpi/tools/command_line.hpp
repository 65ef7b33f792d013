// command_line.hpp - what the commands of `tarn` share: options, --help with examples, operands, errors in one sentence.
// Level 7 (tools). One thread.
#pragma once

#include <boost/program_options/options_description.hpp>
#include <boost/program_options/value_semantic.hpp>

#include <string>
#include <string_view>
#include <vector>

#include <tarn/object.hpp>
#include <tarn/result.hpp>

namespace tarn::tools {

namespace po = boost::program_options;

/// One of the commands. `run` gets what follows the command's name and gives the exit code of a success, usually 0.
struct Command {
  std::string_view name;
  std::string_view summary;  ///< one line for `tarn --help`
  Result<int> (*run)(const std::vector<std::string>& arguments);
};

/// The options of one command. Values go to variables bound with po::value(&variable).
class CommandLine {
 public:
  /// @param synopsis     what follows "tarn ", as "put [-r] SOURCE tarn://BUCKET/[KEY]".
  /// @param description  for --help; @param examples  whole command lines, one a line.
  CommandLine(std::string synopsis, std::string description, std::string examples);

  [[nodiscard]] po::options_description& options() noexcept { return options_; }

  /// @return false: --help has been printed, there is nothing more to do.
  /// @errors invalid: an option that is unknown, lacks its value or has a wrong one; too few or too many operands.
  [[nodiscard]] Result<bool> parse(const std::vector<std::string>& arguments, std::size_t operands_min, std::size_t operands_max);
  [[nodiscard]] const std::vector<std::string>& operands() const noexcept { return operands_; }
  /// Whether the option (long name) was given.
  [[nodiscard]] bool given(std::string_view option) const;

 private:
  void print_help() const;
  std::string synopsis_, description_, examples_;
  po::options_description options_;
  std::vector<std::string> operands_;
  std::vector<std::string> given_;
};

inline constexpr std::size_t kAnyNumber = SIZE_MAX;

/// "tarn://bucket/key": the key may be empty, or a prefix. It is taken as written, without decoding.
/// @errors invalid: not of that form, or a name against the rules (base/text.hpp).
[[nodiscard]] Result<ObjectName> parse_tarn_url(std::string_view url);
/// The same, and there is a key.
[[nodiscard]] Result<ObjectName> parse_object_url(std::string_view url);
[[nodiscard]] std::string format_tarn_url(const ObjectName& name);

/// A text option as a size in bytes ("64MiB"). @errors invalid, naming the option.
[[nodiscard]] Result<std::uint64_t> size_option(std::string_view option, const std::string& text);

}  // namespace tarn::tools
