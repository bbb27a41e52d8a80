/* pugixml at work: documents are built, printed, parsed again, searched by XPath, changed. Argument: rounds. */
#include "pugixml.hpp"

#include <cstdio>
#include <cstdlib>
#include <map>
#include <string>
#include <vector>

namespace {

class Text : public pugi::xml_writer {
public:
    std::string all;
    void write(const void *data, size_t size) override { all.append(static_cast<const char *>(data), size); }
};

struct Sale {
    std::string item;
    int amount;
    double price;
};

std::vector<Sale> sales(int round) {
    std::vector<Sale> made;
    for (int i = 0; i < 60; i++)
        made.push_back({"item " + std::to_string(i * round % 37), i % 7 + 1, 0.25 * ((i * 31 + round) % 90)});
    return made;
}

std::string printed(const std::vector<Sale> &made) {
    pugi::xml_document document;
    pugi::xml_node root = document.append_child("sales");
    for (const Sale &sale : made) {
        pugi::xml_node node = root.append_child("sale");
        node.append_attribute("amount") = sale.amount;
        node.append_attribute("price") = sale.price;
        node.append_child("item").text().set(sale.item.c_str());
    }
    Text text;
    document.save(text, " ");
    return text.all;
}

std::map<std::string, double> totals(const pugi::xml_document &document) {
    std::map<std::string, double> found;
    for (const pugi::xpath_node &hit : document.select_nodes("//sale[@amount > 2 and starts-with(item, 'item')]")) {
        pugi::xml_node sale = hit.node();
        found[sale.child("item").text().get()] += sale.attribute("price").as_double() * sale.attribute("amount").as_int();
    }
    return found;
}

int changed(pugi::xml_document &document) {
    int removed = 0;
    pugi::xml_node root = document.child("sales");
    for (pugi::xml_node sale = root.first_child(); sale;) {
        pugi::xml_node next = sale.next_sibling();
        if (sale.attribute("amount").as_int() == 1) {
            root.remove_child(sale);
            removed++;
        }
        sale = next;
    }
    return removed;
}

} // namespace

int main(int argc, char **argv) {
    int rounds = argc > 1 ? std::atoi(argv[1]) : 10, removed = 0;
    double sum = 0;
    size_t written = 0;
    for (int round = 1; round <= rounds; round++) {
        std::string text = printed(sales(round));
        pugi::xml_document document;
        if (!document.load_buffer(text.data(), text.size()))
            return 1;
        for (const auto &[item, total] : totals(document))
            sum += total;
        sum += document.select_node("sum(//sale/@amount)").node() ? 1 : 0;
        removed += changed(document);
        Text rest;
        document.save(rest);
        written += rest.all.size();
    }
    std::printf("%zu bytes, %d removed, %.2f\n", written, removed, sum);
    return 0;
}
