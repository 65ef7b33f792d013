// Compiled with -mavx2, and empty where that does not exist (lib/CMakeLists.txt).
#ifdef TARN_HASH_AVX2
#include "base/hash_kernels.inl"

namespace tarn::base {

const HashKernels kAvx2HashKernels{hash_64, hash_128, update_64, update_128};

}  // namespace tarn::base
#endif
