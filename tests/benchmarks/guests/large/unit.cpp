/* One of the many C++ units of a large program: each instantiates the library for types of its own.

   Compiled once for each value of UNIT, so that there are as many units as the benchmark wants, each with all
   of the debug information that the library's headers bring. */

#include <algorithm>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#define JOINED(name, unit) name##unit
#define NAMED(name, unit) JOINED(name, unit)
#define SPACE NAMED(part, UNIT)

namespace SPACE {

struct Point {
    int x, y;
    bool operator<(const Point &other) const { return x < other.x || (x == other.x && y < other.y); }
};

struct Shape {
    virtual ~Shape() = default;
    virtual double area() const = 0;
    virtual std::string name() const { return "shape"; }
};

struct Square : Shape {
    double side;
    explicit Square(double side) : side(side) {}
    double area() const override { return side * side; }
    std::string name() const override { return "square"; }
};

struct Path : Shape {
    std::vector<Point> points;
    std::map<std::string, Point> labels;
    double area() const override { return points.size(); }
};

using Item = std::variant<int, std::string, Point, std::vector<Point>>;

struct Index {
    std::map<std::string, std::vector<Point>> by_name;
    std::unordered_map<std::string, std::set<Point>> by_tag;
    std::deque<std::unique_ptr<Shape>> shapes;
    std::list<std::optional<Item>> items;

    void add(const std::string &name, Point point) {
        by_name[name].push_back(point);
        by_tag[name + "#"].insert(point);
        items.emplace_back(Item(point));
        if (point.x % 2)
            shapes.push_back(std::make_unique<Square>(point.x));
        else
            shapes.push_back(std::make_unique<Path>());
    }

    double total() const {
        return std::accumulate(shapes.begin(), shapes.end(), 0.0,
                               [](double sum, const auto &shape) { return sum + shape->area(); });
    }
};

std::string describe(const Index &index) {
    std::ostringstream out;
    for (const auto &[name, points] : index.by_name)
        out << name << ':' << points.size() << ' ';
    std::vector<std::string> names;
    for (const auto &shape : index.shapes) names.push_back(shape->name());
    std::sort(names.begin(), names.end(), std::greater<std::string>());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (const auto &name : names) out << name << ' ';
    return out.str();
}

Index everything;
int visits;

}  // namespace SPACE

extern "C" int NAMED(visit, UNIT)(int count) {
    for (int i = 0; i < count; i++)
        SPACE::everything.add("item" + std::to_string(i % 3), SPACE::Point{i, UNIT});
    SPACE::visits += count;
    std::function<int(int)> half = [](int value) { return value / 2; };
    return (int)SPACE::describe(SPACE::everything).size() + half((int)SPACE::everything.total());
}
