#include "mpi/tools/command_line.hpp"

#include <boost/program_options/parsers.hpp>
#include <boost/program_options/variables_map.hpp>

#include <algorithm>
#include <cctype>
#include <iostream>
#include <optional>
#include <typeinfo>

#include "base/error.hpp"
#include "base/text.hpp"

namespace tarn::tools {

namespace {

constexpr std::string_view kScheme = "tarn://";
constexpr unsigned kHelpColumns = 100;

/// Long options in full and short ones; no guessing of abbreviations, which would break scripts when an option is added.
constexpr int kStyle = po::command_line_style::unix_style & ~po::command_line_style::allow_guessing;

bool is_unsigned(const po::option_description& option) {
  const auto* typed = dynamic_cast<const po::typed_value_base*>(option.semantic().get());
  if (typed == nullptr) return false;
  const std::type_info& type = typed->value_type();
  return type == typeid(unsigned short) || type == typeid(unsigned) || type == typeid(unsigned long) || type == typeid(unsigned long long);
}

/// Boost reads "-1" as the largest number. @return what is wrong; nothing: all is well.
std::optional<std::string> negative_number(const po::parsed_options& parsed, const po::options_description& options) {
  for (const auto& option : parsed.options) {
    const auto* known = options.find_nothrow(option.string_key, false);
    if (known == nullptr || !is_unsigned(*known)) continue;
    for (const std::string& value : option.value)
      if (value.size() > 1 && value[0] == '-' && std::isdigit(static_cast<unsigned char>(value[1])) != 0)
        return "--" + option.string_key + " " + value + ": it must be a number that is not negative";
  }
  return std::nullopt;
}

}  // namespace

CommandLine::CommandLine(std::string synopsis, std::string description, std::string examples)
    : synopsis_(std::move(synopsis)), description_(std::move(description)), examples_(std::move(examples)), options_("Options", kHelpColumns) {
  options_.add_options()("help,h", "show this text");
}

void CommandLine::print_help() const {
  std::cout << "Usage: tarn " << synopsis_ << "\n\n" << description_ << "\n\n" << options_ << "\nExamples:\n";
  std::size_t begin = 0;
  while (begin < examples_.size()) {
    const std::size_t end = std::min(examples_.find('\n', begin), examples_.size());
    std::cout << "  " << std::string_view(examples_).substr(begin, end - begin) << "\n";
    begin = end + 1;
  }
}

Result<bool> CommandLine::parse(const std::vector<std::string>& arguments, std::size_t operands_min, std::size_t operands_max) {
  const std::string name = synopsis_.substr(0, synopsis_.find(' '));
  const auto see_help = [&](const std::string& text) { return fail(ErrorCode::invalid, text + " (see `tarn " + name + " --help`)"); };
  try {
    po::options_description all;
    all.add(options_).add_options()("tarn-operand", po::value(&operands_), "");
    po::positional_options_description positional;
    positional.add("tarn-operand", -1);
    const auto parsed = po::command_line_parser(arguments).options(all).positional(positional).style(kStyle).run();
    if (const auto wrong = negative_number(parsed, all)) return see_help(*wrong);
    po::variables_map values;
    po::store(parsed, values);
    if (values.count("help") != 0) {
      print_help();
      return false;
    }
    po::notify(values);
    for (const auto& option : parsed.options) given_.push_back(option.string_key);
  } catch (const po::error& error) {
    return see_help(error.what());
  }
  if (operands_.size() < operands_min) return see_help("an operand is missing: tarn " + synopsis_);
  if (operands_.size() > operands_max) return see_help("'" + operands_[operands_max] + "' is one operand too many: tarn " + synopsis_);
  return true;
}

bool CommandLine::given(std::string_view option) const {
  return std::find(given_.begin(), given_.end(), option) != given_.end();
}

Result<ObjectName> parse_tarn_url(std::string_view url) {
  if (url.substr(0, kScheme.size()) != kScheme)
    return fail(ErrorCode::invalid, "'" + std::string(url.substr(0, 200)) + "' is not a store address; write tarn://BUCKET/KEY");
  const std::string_view rest = url.substr(kScheme.size());
  const auto slash = rest.find('/');
  ObjectName name{std::string(rest.substr(0, slash)), slash == std::string_view::npos ? std::string() : std::string(rest.substr(slash + 1))};
  TARN_CHECK(base::check_bucket_name(name.bucket));
  if (!name.key.empty()) TARN_CHECK(base::check_key(name.key));
  return name;
}

Result<ObjectName> parse_object_url(std::string_view url) {
  TARN_TRY(ObjectName name, parse_tarn_url(url));
  if (name.key.empty()) return fail(ErrorCode::invalid, "'" + std::string(url) + "' names a bucket; an object is tarn://" + name.bucket + "/KEY");
  return name;
}

std::string format_tarn_url(const ObjectName& name) {
  return std::string(kScheme) + name.bucket + "/" + name.key;
}

Result<std::uint64_t> size_option(std::string_view option, const std::string& text) {
  auto size = base::parse_size(text);
  if (!size) return fail(ErrorCode::invalid, "--" + std::string(option) + ": " + size.error().message);
  return size;
}

}  // namespace tarn::tools
