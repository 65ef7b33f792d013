// dsort_spec.hpp - a dsort's specification: checked before any work, and to and from AIStore's JSON form.
// Level 4 (plan). Pure.
//
// JSON names are AIStore's (POST /v1/sort); docs/DSORT.md lists them, and what is ours beside them:
// input_format.prefix, output_shard_samples, algorithm.missing_content,
// keep_extensions, drop_extensions, key_pattern, index, manifest and class_extension.
#pragma once

#include <cstdint>

#include <tarn/dsort.hpp>
#include <tarn/result.hpp>

#include "base/json.hpp"

namespace tarn::plan {

/// Everything that can be known to be wrong without looking at the data.
/// @errors invalid, in one sentence that names the field.
[[nodiscard]] Result<void> check_dsort_spec(const DsortSpec& spec);

/// @errors invalid: not an object, a field that is unknown or of another type, or check_dsort_spec's;
///         unsupported: what AIStore knows and this version does not (other archives, key maps).
[[nodiscard]] Result<DsortSpec> dsort_spec_from_json(const base::Json& json);
/// The inverse.
[[nodiscard]] base::Json dsort_spec_to_json(const DsortSpec& spec);

/// A report as JSON, with DsortReport's field names.
[[nodiscard]] base::Json dsort_report_to_json(const DsortReport& report);

inline constexpr std::uint64_t kMemoryBudgetBytesMin = 8ULL << 20;

}  // namespace tarn::plan
