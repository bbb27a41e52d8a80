/* Its copy of shared() is longer, and dropped by the linker; its debug information stays, and claims the other. */
#include "twins.h"

int other(int value) {
    return shared(value); /* @other */
}
