// unique_function.hpp - a callable that may own what cannot be copied: buffers, promises, descriptors.
// Level 1 (base). One thread at a time. (std::move_only_function comes with C++23.)
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace tarn::base {

template <class Signature>
class UniqueFunction;

template <class R, class... Args>
class UniqueFunction<R(Args...)> {
 public:
  UniqueFunction() = default;

  template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, UniqueFunction>>>
  UniqueFunction(F&& callable)  // NOLINT(google-explicit-constructor): stands in for the callable, as std::function does
      : callable_(std::make_unique<Holder<std::decay_t<F>>>(std::forward<F>(callable))) {}

  R operator()(Args... args) { return callable_->call(std::forward<Args>(args)...); }
  explicit operator bool() const noexcept { return callable_ != nullptr; }

 private:
  struct Base {
    Base() = default;
    Base(const Base&) = delete;
    Base& operator=(const Base&) = delete;
    virtual ~Base() = default;
    virtual R call(Args... args) = 0;
  };
  template <class F>
  struct Holder final : Base {
    explicit Holder(F&& callable) : callable_(std::move(callable)) {}
    explicit Holder(const F& callable) : callable_(callable) {}
    R call(Args... args) override { return callable_(std::forward<Args>(args)...); }
    F callable_;
  };
  std::unique_ptr<Base> callable_;
};

}  // namespace tarn::base
