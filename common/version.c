#include "common/version.h"

#ifndef SPARKPOD_COMMIT
#define SPARKPOD_COMMIT "unknown"
#endif

const char version_commit[] = SPARKPOD_COMMIT;
