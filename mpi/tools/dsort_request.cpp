#include "mpi/tools/dsort_request.hpp"

#include <algorithm>
#include <initializer_list>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/json.hpp"
#include "mpi/tools/command_line.hpp"
#include "mpi/tools/remote.hpp"
#include "plan/dsort_spec.hpp"
#include "shard/name_template.hpp"

namespace tarn::tools {

namespace {

struct Texts {
  std::vector<std::string> inputs;
  std::string output, shard_size, order = "key", content, content_type = "string", missing_content = "abort", keep, drop, match, duplicates = "abort",
                                  missing = "warn", memory, spec_file;
};

struct ByProducts {
  bool index = false, manifest = false;
  std::string classes;
};

/// tarn://b/            the whole bucket        tarn://b/dir/ or tarn://b/in-*   a prefix
/// tarn://b/in-%06d.tar a template               tarn://b/a.tar                   that object
Result<void> add_input(DsortInput& input, const std::string& url) {
  TARN_TRY(const ObjectName name, parse_tarn_url(url));
  if (!input.bucket.empty() && input.bucket != name.bucket)
    return fail(ErrorCode::invalid, "--input: all inputs lie in one bucket; '" + url + "' is not in tarn://" + input.bucket + "/");
  input.bucket = name.bucket;
  const auto once = [&](std::string& field, std::string value, const char* what) -> Result<void> {
    if (!field.empty()) return fail(ErrorCode::invalid, "--input: at most one " + std::string(what) + ", and '" + field + "' is one already");
    field = std::move(value);
    return {};
  };
  if (name.key.empty()) return {};
  if (name.key.back() == '/') return once(input.prefix, name.key, "prefix");
  if (name.key.back() == '*') return once(input.prefix, name.key.substr(0, name.key.size() - 1), "prefix");
  TARN_TRY(const auto parsed, shard::NameTemplate::parse(name.key));
  if (parsed.capacity() != 1U || name.key.find('{') != std::string::npos) return once(input.pattern, name.key, "template");
  input.names.push_back(name.key);
  return {};
}

/// "jpg,.cls"
std::vector<std::string> split_list(std::string_view text) {
  std::vector<std::string> items;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const auto item = text.substr(at, comma - at);
    items.emplace_back(item.substr(item.starts_with('.') ? 1 : 0));
    at = comma + 1;
  }
  return items;
}

/// One of the words of an option.
template <class Choice>
Result<Choice> parse_choice(const char* option, const std::string& text, std::initializer_list<std::pair<const char*, Choice>> words) {
  std::string all;
  for (const auto& [word, choice] : words) {
    if (text == word) return choice;
    all.append(all.empty() ? "" : ", ").append(word);
  }
  return fail(ErrorCode::invalid, std::string("--") + option + " cannot be '" + text + "'; it is one of " + all);
}

Result<DsortOrder> parse_order(const std::string& text) {
  return parse_choice<DsortOrder>("order", text,
                                  {{"none", DsortOrder::none},
                                   {"key", DsortOrder::key},
                                   {"shuffle", DsortOrder::shuffle},
                                   {"md5", DsortOrder::md5},
                                   {"content", DsortOrder::content}});
}

template <class Policy>
Result<Policy> parse_policy(const char* option, const std::string& text) {
  return parse_choice<Policy>(option, text, {{"ignore", Policy::ignore}, {"warn", Policy::warn}, {"abort", Policy::abort}});
}

Result<DsortSpec> spec_from_file(const std::string& path) {
  TARN_TRY(const std::string text, base::read_text_file(base::posix_file_system(), path));
  TARN_TRY(const base::Json json, base::parse_json(text, path));
  auto spec = plan::dsort_spec_from_json(json);
  if (!spec) return fail(spec.error().code, path + ": " + spec.error().message);
  return spec;
}

/// Options override what a specification file says.
Result<void> apply_options(const CommandLine& line, const Texts& texts, DsortSpec& spec) {
  if (!texts.inputs.empty()) spec.input = {};
  for (const std::string& url : texts.inputs) TARN_CHECK(add_input(spec.input, url));
  if (!texts.output.empty()) {
    TARN_TRY(const ObjectName output, parse_tarn_url(texts.output));
    if (output.key.empty())
      return fail(ErrorCode::invalid, "--output '" + texts.output + "' names no shards; write " + texts.output + "/NAME-%06d.tar");
    spec.output_bucket = output.bucket;
    spec.output_template = output.key;
  }
  if (line.given("shard-size")) {
    TARN_TRY(spec.shard_size_bytes, size_option("shard-size", texts.shard_size));
    if (!line.given("shard-samples")) spec.shard_samples = 0;
  }
  if (line.given("shard-samples") && !line.given("shard-size")) spec.shard_size_bytes = 0;
  if (line.given("order")) {
    TARN_TRY(spec.order, parse_order(texts.order));
  }
  if (line.given("content")) spec.content_extension = texts.content.substr(texts.content.starts_with('.') ? 1 : 0);
  if (line.given("content-type")) {
    TARN_TRY(spec.content_type,
             parse_choice<ContentType>("content-type", texts.content_type,
                                       {{"int", ContentType::integer}, {"float", ContentType::real}, {"string", ContentType::text}}));
  }
  if (line.given("missing-content")) {
    TARN_TRY(
        spec.missing_content,
        parse_choice<MissingContent>(
            "missing-content", texts.missing_content,
            {{"abort", MissingContent::abort}, {"first", MissingContent::first}, {"last", MissingContent::last}, {"drop", MissingContent::drop}}));
  }
  if (line.given("keep")) spec.keep_extensions = split_list(texts.keep);
  if (line.given("drop")) spec.drop_extensions = split_list(texts.drop);
  if (line.given("match")) spec.key_pattern = texts.match;
  if (line.given("duplicates")) {
    TARN_TRY(spec.duplicates, parse_policy<DuplicatePolicy>("duplicates", texts.duplicates));
  }
  if (line.given("missing")) {
    TARN_TRY(spec.missing, parse_policy<MissingPolicy>("missing", texts.missing));
  }
  if (line.given("memory")) {
    TARN_TRY(spec.memory_budget_bytes, size_option("memory", texts.memory));
  }
  return {};
}

}  // namespace

Result<std::optional<DsortRequest>> parse_dsort_request(const std::vector<std::string>& arguments) {
  DsortRequest request;
  Texts texts;
  std::uint64_t samples = 0;
  std::uint64_t seed = 0;
  bool decreasing = false;
  bool dry_run = false;
  ByProducts by_products;
  CommandLine line(
      "dsort --input URL... --output URL (--shard-size SIZE | --shard-samples N) [OPTION...]",
      "Sorts or shuffles the samples of many shards or small objects into new tar shards, by all ranks together. Files of one sample\n"
      "are kept together (WebDataset's rule: the name up to its first dot). For a seed the shards are the same, byte for byte, on any\n"
      "number of ranks. The output appears as a whole or not at all. Its bucket is made when it is missing.\n"
      "INPUT: tarn://b/ (whole bucket), tarn://b/dir/ or tarn://b/in-* (prefix), tarn://b/in-{0000..0063}.tar, tarn://b/a.tar.",
      "tarn dsort --input 'tarn://in/in-{0000..0063}.tar' --output 'tarn://out/train-%06d.tar' --shard-size 16MB --order shuffle --seed 1\n"
      "tarn dsort --input tarn://raw/ --output 'tarn://sorted/part-{000..099}.tar' --shard-samples 1000\n"
      "tarn dsort --spec spec.json --dry-run\n"
      "mpirun -n 4 tarn dsort --dir /scratch/tarn-{rank} --input tarn://in/ --output 'tarn://out/%04d.tar' --shard-size 64MiB");
  line.options().add_options()("input", po::value(&texts.inputs)->value_name("URL")->composing(), "what is read; may be given several times")(
      "output", po::value(&texts.output)->value_name("URL"), "bucket and template of the shards' names")(
      "shard-size", po::value(&texts.shard_size)->value_name("SIZE"), "target size of a shard, as 16MB or 64MiB")(
      "shard-samples", po::value(&samples)->value_name("N"), "samples per shard, instead of a size")(
      "order", po::value(&texts.order)->value_name("ORDER"), "none, key (default), shuffle, md5 or content")(
      "content", po::value(&texts.content)->value_name("EXT"), "with --order content: the extension of the member to sort by")(
      "content-type", po::value(&texts.content_type)->value_name("TYPE"), "how it is read: int, float, string (default)")(
      "missing-content", po::value(&texts.missing_content)->value_name("POLICY"), "samples without it: abort (default), first, last, drop")(
      "decreasing", po::bool_switch(&decreasing), "largest key or content first")(
      "seed", po::value(&seed)->value_name("N"), "of the shuffle (default 0)")("duplicates", po::value(&texts.duplicates)->value_name("POLICY"),
                                                                               "samples with the same key: ignore, warn, abort (default)")(
      "missing", po::value(&texts.missing)->value_name("POLICY"), "shards of a template that are not there: ignore, warn (default), abort")(
      "memory", po::value(&texts.memory)->value_name("SIZE"), "per rank, for data in flight (default 256MiB)")(
      "keep", po::value(&texts.keep)->value_name("EXT,EXT..."), "only members with these extensions go to the output")(
      "drop", po::value(&texts.drop)->value_name("EXT,EXT..."), "all members but these")("match", po::value(&texts.match)->value_name("REGEX"),
                                                                                         "only samples whose key this matches (as grep -E)")(
      "index", po::bool_switch(&by_products.index), "an index for NVIDIA DALI beside each shard (.idx)")(
      "manifest", po::bool_switch(&by_products.manifest), "a manifest.json beside the shards: names, sizes, checksums, specification")(
      "classes", po::value(&by_products.classes)->value_name("EXT"), "count samples by the value of the member with this extension")(
      "dry-run", po::bool_switch(&dry_run), "plan and count, write nothing")("spec", po::value(&texts.spec_file)->value_name("FILE"),
                                                                             "a specification in AIStore's JSON form; options override it")(
      "json", po::bool_switch(&request.json), "the report as JSON")(
      "dir", po::value(&request.directories)->value_name("DIR")->composing(),
      "inside mpirun: open the store on these directories instead of asking a running one");
  add_endpoint_option(line, request.endpoint_file);
  TARN_TRY(const bool go_on, line.parse(arguments, 0, 0));
  if (!go_on) return std::nullopt;
  if (texts.spec_file.empty() && texts.inputs.empty()) return fail(ErrorCode::invalid, "--input (or --spec) is missing (see `tarn dsort --help`)");
  if (!texts.spec_file.empty()) {
    TARN_TRY(request.spec, spec_from_file(texts.spec_file));
  }
  TARN_CHECK(apply_options(line, texts, request.spec));
  if (line.given("shard-samples")) request.spec.shard_samples = samples;
  if (line.given("seed")) request.spec.seed = seed;
  request.spec.index = request.spec.index || by_products.index;
  request.spec.manifest = request.spec.manifest || by_products.manifest;
  if (line.given("classes")) request.spec.class_extension = by_products.classes.substr(by_products.classes.starts_with('.') ? 1 : 0);
  request.spec.decreasing = request.spec.decreasing || decreasing;
  request.spec.dry_run = request.spec.dry_run || dry_run;
  if (request.spec.output_template.empty() && texts.spec_file.empty())
    return fail(ErrorCode::invalid, "--output is missing (see `tarn dsort --help`)");
  TARN_CHECK(plan::check_dsort_spec(request.spec));
  return request;
}

}  // namespace tarn::tools
