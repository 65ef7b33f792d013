#include "base/hash_kernels.inl"

namespace tarn::base {

const HashKernels kPlainHashKernels{hash_64, hash_128, update_64, update_128};

}  // namespace tarn::base
