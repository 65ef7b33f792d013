// Linked into what runs under sanitizers: modules stay where they are until the process ends. Open MPI unloads its
// plug-ins in MPI_Finalize, and a leak or a race in code that is no longer there has no name to be suppressed by.
#include <dlfcn.h>

extern "C" int dlclose(void* /*handle*/) noexcept {
  return 0;
}
