/* Double precision arithmetic in loops: five bodies that attract each other. Argument: thousands of steps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODIES = 5 };
static double x[BODIES][3], v[BODIES][3], mass[BODIES];

static void advance(double dt) {
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            double d[3], square = 0.01;
            for (int k = 0; k < 3; k++) {
                d[k] = x[i][k] - x[j][k];
                square += d[k] * d[k];
            }
            double strength = dt / (square * sqrt(square));
            for (int k = 0; k < 3; k++) {
                v[i][k] -= d[k] * mass[j] * strength;
                v[j][k] += d[k] * mass[i] * strength;
            }
        }
    }
    for (int i = 0; i < BODIES; i++)
        for (int k = 0; k < 3; k++)
            x[i][k] += dt * v[i][k];
}

int main(int argc, char **argv) {
    long steps = 1000L * (argc > 1 ? atoi(argv[1]) : 10);
    for (int i = 0; i < BODIES; i++) {
        mass[i] = 1.0 / (1 + i);
        for (int k = 0; k < 3; k++) {
            x[i][k] = (i + 1) * (k - 1) + 0.25 * i;
            v[i][k] = 0.1 * (k - i);
        }
    }
    for (long i = 0; i < steps; i++)
        advance(0.001);
    printf("floats %.12g %.12g\n", x[0][0], v[4][2]);
    return 0;
}
