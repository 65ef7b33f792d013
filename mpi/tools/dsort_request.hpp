// dsort_request.hpp - the options of `tarn dsort` as a DsortSpec.
// Level 7 (tools).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <tarn/dsort.hpp>
#include <tarn/result.hpp>

namespace tarn::tools {

struct DsortRequest {
  DsortSpec spec;
  std::vector<std::string> directories;  ///< not empty: open a store in this job instead of asking a running one
  std::string endpoint_file;
  bool json = false;
};

/// @return nullopt: --help has been printed.
/// @errors invalid, unsupported (orders of later versions), those of reading --spec.
[[nodiscard]] Result<std::optional<DsortRequest>> parse_dsort_request(const std::vector<std::string>& arguments);

}  // namespace tarn::tools
