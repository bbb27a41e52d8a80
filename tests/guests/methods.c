/* C++, compiled with -x c++: what a method knows without saying this. */

int side = 99; /* hidden by the member */

struct Shape {
    int id;
};

struct Square : Shape {
    double side;
    bool ok;
    double area() {
        double result = side * side;
        return result; /* @area */
    }
};

int main() {
    Square square;
    square.id = 7;
    square.side = side - 96;
    square.ok = true;
    return square.area() == 9 ? 0 : 1;
}
