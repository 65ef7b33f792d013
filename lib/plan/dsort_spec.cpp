#include "plan/dsort_spec.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "base/text.hpp"
#include "plan/manifest.hpp"
#include "plan/selection.hpp"
#include "shard/archive_kind.hpp"
#include "shard/name_template.hpp"

namespace tarn::plan {

namespace {

using base::Json;
using base::JsonObject;

template <class T>
using Named = std::pair<std::string_view, T>;
constexpr std::array<Named<DsortOrder>, 6> kOrders{{{"alphanumeric", DsortOrder::key},
                                                    {"none", DsortOrder::none},
                                                    {"shuffle", DsortOrder::shuffle},
                                                    {"md5", DsortOrder::md5},
                                                    {"content", DsortOrder::content},
                                                    {"key", DsortOrder::key}}};
constexpr std::array<Named<ContentType>, 3> kContentTypes{
    {{"int", ContentType::integer}, {"float", ContentType::real}, {"string", ContentType::text}}};
constexpr std::array<Named<MissingContent>, 4> kMissingContents{
    {{"abort", MissingContent::abort}, {"first", MissingContent::first}, {"last", MissingContent::last}, {"drop", MissingContent::drop}}};
constexpr std::array<Named<DuplicatePolicy>, 3> kDuplicatePolicies{
    {{"ignore", DuplicatePolicy::ignore}, {"warn", DuplicatePolicy::warn}, {"abort", DuplicatePolicy::abort}}};
constexpr std::array<Named<MissingPolicy>, 3> kMissingPolicies{
    {{"ignore", MissingPolicy::ignore}, {"warn", MissingPolicy::warn}, {"abort", MissingPolicy::abort}}};

/// AIStore's settings of its own machinery: accepted, because they change nothing about the result.
constexpr std::array<std::string_view, 8> kTuningFields{"description",
                                                        "extract_concurrency_max_limit",
                                                        "create_concurrency_max_limit",
                                                        "dsorter_type",
                                                        "default_max_mem_usage",
                                                        "call_timeout",
                                                        "dsorter_mem_threshold",
                                                        "compression"};

constexpr std::string_view kExtensions = ".tar, .tar.gz, .tgz, .tar.zst, .tar.lz4, .tar.xz, .zip";

tl::unexpected<Error> bad(std::string_view field, std::string_view why) {
  return fail(ErrorCode::invalid, "dsort: " + std::string(field) + " " + std::string(why));
}
tl::unexpected<Error> unsupported(std::string_view field, std::string_view what) {
  return fail(ErrorCode::unsupported, "dsort: " + std::string(field) + ": " + std::string(what));
}

template <class T, std::size_t N>
std::string_view name_of(const std::array<Named<T>, N>& names, T value) {
  return std::find_if(names.begin(), names.end(), [&](const auto& row) { return row.second == value; })->first;
}

Result<std::string> to_text(std::string_view field, const Json& value) {
  if (!value.is_string()) return bad(field, "must be a text");
  return std::string(value.get_string());
}

template <class T, std::size_t N>
Result<T> to_choice(std::string_view field, const Json& value, const std::array<Named<T>, N>& names) {
  TARN_TRY(const std::string text, to_text(field, value));
  for (const auto& [name, choice] : names)
    if (name == text) return choice;
  std::string all;
  for (const auto& row : names) all.append(all.empty() ? "" : ", ").append(row.first);
  return bad(field, "cannot be '" + text + "'; it is one of " + all);
}

Result<bool> to_flag(std::string_view field, const Json& value) {
  if (!value.is_bool()) return bad(field, "must be true or false");
  return value.get_bool();
}

/// A number, or (as AIStore writes them) a text of digits.
Result<std::uint64_t> to_count(std::string_view field, const Json& value) {
  if (value.is_uint64()) return value.get_uint64();
  if (value.is_int64() && value.get_int64() >= 0) return static_cast<std::uint64_t>(value.get_int64());
  if (value.is_string()) {
    const std::string_view text = value.get_string();
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) return number;
  }
  return bad(field, "must be a whole number, 0 or more");
}

Result<std::uint64_t> to_size(std::string_view field, const Json& value) {
  if (!value.is_string()) return to_count(field, value);
  auto size = base::parse_size(std::string_view(value.get_string()));
  if (!size) return bad(field, ": " + size.error().message);
  return size;
}

/// "80%" of this machine's memory, or a size.
Result<std::uint64_t> to_memory(std::string_view field, const Json& value) {
  if (!value.is_string() || !std::string_view(value.get_string()).ends_with('%')) return to_size(field, value);
  const std::string_view text = value.get_string();
  unsigned percent = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size() - 1, percent);
  if (error != std::errc() || end != text.data() + text.size() - 1 || percent < 1 || percent > 100) return bad(field, "must lie between 1% and 100%");
  const auto memory_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return std::max(kMemoryBudgetBytesMin, memory_bytes / 100 * percent);
}

/// {"name": "b", "provider": "ais"}, or just "b".
Result<std::string> to_bucket(std::string_view field, const Json& value) {
  if (value.is_string()) return std::string(value.get_string());
  const auto name = base::json_string(value, "name");
  if (!name) return bad(field, "must be a bucket's name, or an object with its \"name\"");
  if (const auto provider = base::json_string(value, "provider"); provider && !provider->empty() && *provider != "ais")
    return unsupported(field, "the provider '" + *provider + "'; only buckets of this store can be sorted");
  return *name;
}

/// Of a member: "cls" for ".cls".
std::string without_dot(std::string extension) {
  return extension.starts_with('.') ? extension.substr(1) : extension;
}

/// ".tar.gz", or without the first dot; nothing.
Result<std::string> to_extension(std::string_view field, const Json& value) {
  TARN_TRY(const std::string given, to_text(field, value));
  if (given.empty()) return std::string();
  const std::string text = (given.starts_with('.') ? "" : ".") + given;
  if (!shard::is_archive_extension(text)) return bad(field, "cannot be '" + text + "'; it is one of " + std::string(kExtensions));
  return text;
}

/// ["jpg", ".cls"]
Result<std::vector<std::string>> to_extensions(std::string_view field, const Json& value) {
  if (!value.is_array()) return bad(field, "must be a list of extensions");
  std::vector<std::string> extensions;
  for (const Json& item : value.get_array()) {
    TARN_TRY(auto text, to_text(field, item));
    extensions.push_back(without_dot(std::move(text)));
  }
  return extensions;
}

Result<void> read_input_format(const Json& value, DsortInput& input) {
  const JsonObject* fields = value.if_object();
  if (fields == nullptr) return bad("input_format", "must be an object with \"template\", \"objnames\" or \"prefix\"");
  for (const auto& [name, field] : *fields) {
    if (name == "template") {
      TARN_TRY(input.pattern, to_text("input_format.template", field));
    } else if (name == "prefix") {
      TARN_TRY(input.prefix, to_text("input_format.prefix", field));
    } else if (name == "objnames") {
      if (!field.is_array()) return bad("input_format.objnames", "must be a list of names");
      for (const Json& item : field.get_array()) {
        TARN_TRY(input.names.emplace_back(), to_text("input_format.objnames", item));
      }
    } else {
      return bad("input_format." + std::string(name), "is not known");
    }
  }
  return {};
}

Result<void> read_algorithm(const Json& value, DsortSpec& spec) {
  const JsonObject* fields = value.if_object();
  if (fields == nullptr) return bad("algorithm", "must be an object with a \"kind\"");
  for (const auto& [name, field] : *fields) {
    if (name == "kind") {
      if (field == "") continue;
      TARN_TRY(spec.order, to_choice("algorithm.kind", field, kOrders));
    } else if (name == "decreasing") {
      TARN_TRY(spec.decreasing, to_flag("algorithm.decreasing", field));
    } else if (name == "seed") {
      if (field == "") continue;
      TARN_TRY(spec.seed, to_count("algorithm.seed", field));
    } else if (name == "extension") {
      TARN_TRY(spec.content_extension, to_text("algorithm.extension", field));
      spec.content_extension = without_dot(std::move(spec.content_extension));
    } else if (name == "content_key_type") {
      if (field == "") continue;
      TARN_TRY(spec.content_type, to_choice("algorithm.content_key_type", field, kContentTypes));
    } else if (name == "missing_content") {
      TARN_TRY(spec.missing_content, to_choice("algorithm.missing_content", field, kMissingContents));
    } else {
      return bad("algorithm." + std::string(name), "is not known");
    }
  }
  return {};
}

struct Extensions {
  std::string input, output;
};

Result<void> read_field(std::string_view name, const Json& value, DsortSpec& spec, Extensions& extensions) {
  if (name == "input_bck") {
    TARN_TRY(spec.input.bucket, to_bucket(name, value));
  } else if (name == "output_bck") {
    TARN_TRY(spec.output_bucket, to_bucket(name, value));
  } else if (name == "input_format") {
    return read_input_format(value, spec.input);
  } else if (name == "input_extension") {
    TARN_TRY(extensions.input, to_extension(name, value));
  } else if (name == "output_format") {
    TARN_TRY(spec.output_template, to_text(name, value));
  } else if (name == "output_extension") {
    TARN_TRY(extensions.output, to_extension(name, value));
  } else if (name == "output_shard_size") {
    TARN_TRY(spec.shard_size_bytes, to_size(name, value));
  } else if (name == "output_shard_samples") {
    TARN_TRY(spec.shard_samples, to_count(name, value));
  } else if (name == "algorithm") {
    return read_algorithm(value, spec);
  } else if (name == "max_mem_usage") {
    TARN_TRY(spec.memory_budget_bytes, to_memory(name, value));
  } else if (name == "dry_run") {
    TARN_TRY(spec.dry_run, to_flag(name, value));
  } else if (name == "keep_extensions") {
    TARN_TRY(spec.keep_extensions, to_extensions(name, value));
  } else if (name == "drop_extensions") {
    TARN_TRY(spec.drop_extensions, to_extensions(name, value));
  } else if (name == "key_pattern") {
    TARN_TRY(spec.key_pattern, to_text(name, value));
  } else if (name == "index") {
    TARN_TRY(spec.index, to_flag(name, value));
  } else if (name == "manifest") {
    TARN_TRY(spec.manifest, to_flag(name, value));
  } else if (name == "class_extension") {
    TARN_TRY(spec.class_extension, to_text(name, value));
    spec.class_extension = without_dot(std::move(spec.class_extension));
  } else if (name == "duplicated_records") {
    TARN_TRY(spec.duplicates, to_choice(name, value, kDuplicatePolicies));
  } else if (name == "missing_shards") {
    TARN_TRY(spec.missing, to_choice(name, value, kMissingPolicies));
  } else if (name.starts_with("ekm_")) {
    if ((name == "ekm_file") && value != "") return unsupported(name, "external key maps come with a later version");
  } else if (std::find(kTuningFields.begin(), kTuningFields.end(), name) == kTuningFields.end()) {
    return bad(name, "is not a field of the specification");
  }
  return {};
}

}  // namespace

Result<void> check_dsort_spec(const DsortSpec& spec) {
  if (auto name = base::check_bucket_name(spec.input.bucket); !name) return bad("input bucket:", name.error().message);
  if (!spec.output_bucket.empty())
    if (auto name = base::check_bucket_name(spec.output_bucket); !name) return bad("output bucket:", name.error().message);
  if (!spec.input.pattern.empty())
    if (auto pattern = shard::NameTemplate::parse(spec.input.pattern); !pattern) return bad("input pattern:", pattern.error().message);
  for (const auto& name : spec.input.names)
    if (auto key = base::check_key(name); !key) return bad("input names:", key.error().message);
  if (spec.output_template.empty()) return bad("output template", "is missing; write it as train-%06d.tar");
  const auto output = shard::NameTemplate::parse(spec.output_template);
  if (!output) return bad("output template:", output.error().message);
  if (auto key = base::check_key(output->name(output->capacity().value_or(1) - 1)); !key) return bad("output template:", key.error().message);
  if (const auto kind = shard::archive_kind(spec.output_template); !kind || !shard::is_output_kind(*kind))
    return bad("output template", "'" + spec.output_template + "' must end in .tar, .tar.gz or .tar.zst");
  if ((spec.shard_size_bytes == 0) == (spec.shard_samples == 0)) return bad("shards:", "give either a size in bytes or a number of samples");
  if (spec.index && *shard::archive_kind(spec.output_template) != shard::ArchiveKind::tar)
    return bad("index:", "offsets in a packed shard are of no use; write .tar, or leave the index out");
  if (auto key = base::check_key(manifest_name(output->prefix())); spec.manifest && !key) return bad("manifest:", key.error().message);
  if (const auto selection = Selection::make(spec); !selection) return fail(selection.error());
  if (spec.decreasing && spec.order != DsortOrder::key && spec.order != DsortOrder::content)
    return bad("decreasing", "goes with the orders by key and by content only");
  if (spec.order == DsortOrder::content && spec.content_extension.empty())
    return bad("the order by content", "needs the extension of the member to sort by, as in \"cls\"");
  if (spec.memory_budget_bytes < kMemoryBudgetBytesMin)
    return bad("memory budget", "of " + base::format_size(spec.memory_budget_bytes) + " is too small; at least " +
                                    base::format_size(kMemoryBudgetBytesMin) + " are needed");
  return {};
}

Result<DsortSpec> dsort_spec_from_json(const Json& json) {
  const JsonObject* fields = json.if_object();
  if (fields == nullptr) return bad("the specification", "must be a JSON object");
  DsortSpec spec;
  Extensions extensions;
  for (const auto& field : *fields) TARN_CHECK(read_field(field.key(), field.value(), spec, extensions));
  const auto complete = [](std::string& name, const std::string& extension) {
    if (!name.empty() && !shard::archive_kind(name)) name += extension;
  };
  complete(spec.input.pattern, extensions.input);
  for (auto& name : spec.input.names) complete(name, extensions.input);
  complete(spec.output_template, !extensions.output.empty() ? extensions.output : !extensions.input.empty() ? extensions.input : ".tar");
  TARN_CHECK(check_dsort_spec(spec));
  return spec;
}

Json dsort_spec_to_json(const DsortSpec& spec) {
  JsonObject input;
  if (!spec.input.pattern.empty()) input["template"] = spec.input.pattern;
  if (!spec.input.prefix.empty()) input["prefix"] = spec.input.prefix;
  if (!spec.input.names.empty()) input["objnames"] = boost::json::array(spec.input.names.begin(), spec.input.names.end());
  JsonObject json;
  json["input_bck"] = JsonObject{{"name", spec.input.bucket}};
  json["input_format"] = std::move(input);
  if (!spec.output_bucket.empty()) json["output_bck"] = JsonObject{{"name", spec.output_bucket}};
  json["output_format"] = spec.output_template;
  if (spec.shard_size_bytes != 0) json["output_shard_size"] = spec.shard_size_bytes;
  if (spec.shard_samples != 0) json["output_shard_samples"] = spec.shard_samples;
  JsonObject algorithm{{"kind", name_of(kOrders, spec.order)}, {"decreasing", spec.decreasing}, {"seed", spec.seed}};
  if (spec.order == DsortOrder::content) {
    algorithm["extension"] = spec.content_extension;
    algorithm["content_key_type"] = name_of(kContentTypes, spec.content_type);
    algorithm["missing_content"] = name_of(kMissingContents, spec.missing_content);
  }
  json["algorithm"] = std::move(algorithm);
  json["duplicated_records"] = name_of(kDuplicatePolicies, spec.duplicates);
  json["missing_shards"] = name_of(kMissingPolicies, spec.missing);
  json["max_mem_usage"] = spec.memory_budget_bytes;
  const auto list = [](const std::vector<std::string>& texts) { return boost::json::array(texts.begin(), texts.end()); };
  if (!spec.keep_extensions.empty()) json["keep_extensions"] = list(spec.keep_extensions);
  if (!spec.drop_extensions.empty()) json["drop_extensions"] = list(spec.drop_extensions);
  if (!spec.key_pattern.empty()) json["key_pattern"] = spec.key_pattern;
  if (spec.index) json["index"] = true;
  if (spec.manifest) json["manifest"] = true;
  if (!spec.class_extension.empty()) json["class_extension"] = spec.class_extension;
  json["dry_run"] = spec.dry_run;
  return json;
}

Json dsort_report_to_json(const DsortReport& report) {
  JsonObject classes;
  for (const auto& [label, count] : report.classes) classes[label] = count;
  return JsonObject{{"input_objects", report.input_objects},
                    {"samples", report.samples},
                    {"members", report.members},
                    {"skipped_members", report.skipped_members},
                    {"dropped_members", report.dropped_members},
                    {"dropped_samples", report.dropped_samples},
                    {"duplicate_samples", report.duplicate_samples},
                    {"missing_content", report.missing_content},
                    {"resumed_shards", report.resumed_shards},
                    {"shards", report.shards},
                    {"output_bytes", report.output_bytes},
                    {"classes", std::move(classes)},
                    {"seconds", report.seconds},
                    {"estimated_seconds", report.estimated_seconds},
                    {"warnings", boost::json::array(report.warnings.begin(), report.warnings.end())}};
}

}  // namespace tarn::plan
