// dali_index.hpp - the index that NVIDIA DALI reads beside a shard (fn.readers.webdataset, index_paths): where each member's data lies.
// Level 2 (shard). Pure.
//
//   v1.2 1400
//   jpg 512 8395 sample-434439589175.jpg cls 9728 3 sample-434439589175.cls      a line for each sample:
//   extension, offset of the data in the shard, its size, name of the member; one space between them
//
// Source: DALI's tools/wds2idx.py, version 1.2 of the format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tarn/result.hpp>

namespace tarn::shard {

class DaliIndex {
 public:
  /// @param extension  as it is written in the name. @errors invalid: what the format cannot hold: white space in the name, no extension.
  [[nodiscard]] Result<void> add_member(std::string_view name, std::string_view extension, std::uint64_t data_offset, std::uint64_t data_bytes);
  void end_sample();
  /// The whole file. @cost a copy.
  [[nodiscard]] std::string text() const { return "v1.2 " + std::to_string(samples_) + "\n" + lines_; }

 private:
  std::string lines_;
  std::uint64_t samples_ = 0;
  bool begun_ = false;  // of the open sample's line
};

/// "a/train-0001.idx" for "a/train-0001.tar".
[[nodiscard]] std::string dali_index_name(std::string_view shard_name);

}  // namespace tarn::shard
