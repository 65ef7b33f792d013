#include "shard/dali_index.hpp"

#include "base/error.hpp"

namespace tarn::shard {

Result<void> DaliIndex::add_member(std::string_view name, std::string_view extension, std::uint64_t data_offset, std::uint64_t data_bytes) {
  if (name.find_first_of(" \t\r\n\v\f") != std::string_view::npos)
    return fail(ErrorCode::invalid,
                "member '" + std::string(name.substr(0, 300)) + "' has white space in its name, which an index for DALI cannot hold");
  if (extension.empty())
    return fail(ErrorCode::invalid, "member '" + std::string(name.substr(0, 300)) + "' has an empty extension, which an index for DALI cannot hold");
  if (begun_) lines_ += ' ';
  begun_ = true;
  lines_.append(extension).append(" ").append(std::to_string(data_offset)).append(" ");
  lines_.append(std::to_string(data_bytes)).append(" ").append(name);
  return {};
}

void DaliIndex::end_sample() {
  lines_ += '\n';
  ++samples_;
  begun_ = false;
}

std::string dali_index_name(std::string_view shard_name) {
  return std::string(shard_name.substr(0, shard_name.rfind('.'))) + ".idx";
}

}  // namespace tarn::shard
