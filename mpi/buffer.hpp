// buffer.hpp - bytes of a message: not zeroed, owned by the request that MPI works on.
// Level 6 (mpi). One thread at a time.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

namespace tarn::mpi {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size_bytes) : bytes_(new std::byte[size_bytes]), size_(size_bytes) {}
  explicit Buffer(std::span<const std::byte> bytes) : Buffer(bytes.size()) {
    if (!bytes.empty()) std::memcpy(bytes_.get(), bytes.data(), bytes.size());
  }
  /// head, then tail.
  Buffer(std::span<const std::byte> head, std::span<const std::byte> tail) : Buffer(head.size() + tail.size()) {
    if (!head.empty()) std::memcpy(bytes_.get(), head.data(), head.size());
    if (!tail.empty()) std::memcpy(bytes_.get() + head.size(), tail.data(), tail.size());
  }

  [[nodiscard]] std::byte* data() noexcept { return bytes_.get(); }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::span<std::byte> span() noexcept { return {bytes_.get(), size_}; }
  [[nodiscard]] std::span<const std::byte> span() const noexcept { return {bytes_.get(), size_}; }
  /// Keeps the first size_bytes.
  void shrink(std::size_t size_bytes) noexcept { size_ = size_bytes; }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t size_ = 0;
};

}  // namespace tarn::mpi
