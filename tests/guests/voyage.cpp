/* A tour of what C++ does with objects. It looks around at marked places: each calls the host. */

#include <memory>
#include <optional>
#include <string>
#include <unistd.h>
#include <vector>

#define APART __attribute__((noinline))

int sightings;
volatile int zero;

// A number that the compiler does not know.
static int hidden(int number) {
    return number + zero;
}

APART void look() {
    sightings++; // @look
    write(1, ".", 1);
}

namespace sea {

struct Point {
    int x, y;
    Point(int x, int y) : x(x), y(y) {}
    Point operator+(const Point &other) const { return Point(x + other.x, y + other.y); }
    int length() const {
        int sum = x * x + y * y;
        look(); // @length
        return sum;
    }
};

class Vessel {
public:
    explicit Vessel(int crew) : crew(crew) {}
    virtual ~Vessel() {}
    virtual int speed(int wind) const = 0;

protected:
    int crew;
};

class Sloop final : public Vessel {
    int sails = 2;

public:
    explicit Sloop(int crew) : Vessel(crew) {}
    APART int speed(int wind) const override {
        int pull = wind * sails;
        look(); // @speed
        return pull - crew;
    }
};

template <typename T> APART T largest(const std::vector<T> &items, T least) {
    T found = least;
    for (const T &item : items) {
        if (found < item)
            found = item;
        look(); // @largest
    }
    return found;
}

APART std::size_t words(const std::string &text, std::optional<int> limit) {
    std::vector<std::string> parts;
    std::string part;
    for (char letter : text) {
        if (letter == ' ') {
            parts.push_back(part);
            part.clear();
        } else
            part += letter;
    }
    parts.push_back(part);
    std::size_t count = parts.size();
    look(); // @words
    return limit ? std::min<std::size_t>(count, (std::size_t)*limit) : count;
}

APART int captured(int base) {
    int step = base / 2;
    auto shift = [&, factor = 3](int by) {
        int moved = base + by * factor;
        look(); // @lambda
        return moved + step;
    };
    int near = shift(1); // @near
    int far = shift(10); // @far
    return near + far;
}

APART int owner(int value) {
    auto point = std::make_unique<Point>(value, value + 1);
    Point sum = *point + Point(10, 20);
    int length = sum.length(); // @owner
    return length + point->x;
}

} // namespace sea

int main() {
    std::unique_ptr<sea::Vessel> vessel = std::make_unique<sea::Sloop>(hidden(4));
    int total = vessel->speed(hidden(6)); // @sail
    total += sea::largest<int>({3, hidden(8), 5}, hidden(1)); // @ints
    total += sea::largest<double>({2.5}, hidden(1) / 2.0) > 1; // @doubles
    total += (int)sea::words("one two three", hidden(2)); // @split
    total += sea::captured(hidden(8)); // @capture
    total += sea::owner(hidden(2)); // @own
    look(); // @end
    return total == 0;
}
