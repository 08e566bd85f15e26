using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Analytics.Actors.Node.Import;

/// <summary>A statement of a Python file that is not an assignment of literals.</summary>
/// <param name="Line">Of the file, from 1.</param>
public sealed record NotUnderstood(int Line, string Text, string Why);

/// <summary>
/// Reads the assignments of a Python module whose values are literals: dict, list, tuple, str, numbers and what + - * / make
/// of them, True, False, None, and names assigned before. Nothing is executed; every other statement is told with its line.
/// </summary>
public static class PythonLiteral
{
    public static (JsonObject Values, IReadOnlyList<NotUnderstood> Others) Read(string source)
    {
        var values = new JsonObject();
        List<NotUnderstood> rest = [];
        foreach (var (line, text) in Statements(source.ReplaceLineEndings("\n")))
        {
            var reader = new Reader(text, line, values);
            if (reader.ReadAssignment() is { } wrong) rest.Add(wrong);
        }

        return (values, rest);
    }

    // Logical lines that begin in the first column, with the indented ones below them.
    private static IEnumerable<(int Line, string Text)> Statements(string source)
    {
        var (line, begun, at, depth) = (1, 1, 0, 0);
        for (var index = 0; index < source.Length;)
        {
            if (source[index] == '#')
            {
                while (index < source.Length && source[index] != '\n') index++;
            }
            else if (source[index] is '\'' or '"')
            {
                var end = Reader.EndOfString(source, index);
                line += source[index..end].Count(letter => letter == '\n');
                index = end;
            }
            else
            {
                var letter = source[index++];
                if (letter is '(' or '[' or '{') depth++;
                else if (letter is ')' or ']' or '}') depth--;
                if (letter != '\n') continue;
                line++;
                var isContinued = depth > 0 || index >= 2 && source[index - 2] == '\\' || index < source.Length && source[index] is ' ' or '\t';
                if (isContinued) continue;
                yield return (begun, source[at..index]);
                (at, begun, depth) = (index, line, 0);
            }
        }

        if (at < source.Length) yield return (begun, source[at..]);
    }

    private sealed class Reader(string text, int firstLine, JsonObject names)
    {
        private int at;

        public NotUnderstood? ReadAssignment()
        {
            SkipSpace();
            if (at == text.Length || text[at] is '\'' or '"' && EndOfString(text, at) is var end && text[end..].Trim().Length == 0) return null;
            var begun = at;
            try
            {
                var name = Name();
                SkipSpace();
                if (name.Length > 0 && Peek() == ':')
                {
                    while (at < text.Length && text[at] is not '=' and not '\n') at++;
                }

                if (name.Length == 0 || Peek() != '=' || at + 1 < text.Length && text[at + 1] == '=') throw Wrong("it assigns no literal to a name");
                at++;
                var value = Sum();
                SkipSpace();
                if (at < text.Length) throw Wrong("something follows the literal");
                names[name] = value;
                return null;
            }
            catch (FormatException wrong)
            {
                var line = firstLine + text[..Math.Min(at, text.Length)].Count(letter => letter == '\n');
                return new NotUnderstood(line, text[begun..].Split('\n')[0].Trim(), wrong.Message);
            }
        }

        public static int EndOfString(string text, int at)
        {
            var quote = text[at];
            var isLong = at + 2 < text.Length && text[at + 1] == quote && text[at + 2] == quote;
            for (var index = at + (isLong ? 3 : 1); index < text.Length; index++)
            {
                if (text[index] == '\\') index++;
                else if (!isLong && text[index] == '\n') return index;
                else if (text[index] == quote && (!isLong || text.AsSpan(index).StartsWith(new string(quote, 3)))) return index + (isLong ? 3 : 1);
            }

            return text.Length;
        }

        private JsonNode? Sum()
        {
            var left = Product();
            while (Peek() is '+' or '-') left = Calculated(left, text[at++], Product());
            return left;
        }

        private JsonNode? Product()
        {
            var left = Unary();
            while (Peek() is '*' or '/') left = Calculated(left, text[at++], Unary());
            return left;
        }

        private JsonNode? Unary()
        {
            if (Peek() is not ('-' or '+')) return Atom();
            var sign = text[at++];
            return Calculated(JsonValue.Create(0), sign, Unary());
        }

        private JsonValue Calculated(JsonNode? left, char sign, JsonNode? right)
        {
            if (left is not JsonValue first || right is not JsonValue second || !TryNumber(first, out var a) || !TryNumber(second, out var b)) throw Wrong($"'{sign}' is understood between numbers alone");
            var result = sign switch { '+' => a + b, '-' => a - b, '*' => a * b, _ => b == 0 ? throw Wrong("it divides by 0") : a / b };
            return result == decimal.Truncate(result) && sign != '/' && Math.Abs(result) < long.MaxValue ? JsonValue.Create((long)result) : JsonValue.Create(result);
        }

        private static bool TryNumber(JsonValue value, out decimal number)
        {
            number = 0;
            return value.GetValueKind() == System.Text.Json.JsonValueKind.Number
                && decimal.TryParse(value.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out number);
        }

        private JsonNode? Atom()
        {
            switch (Peek())
            {
                case '{': return Dictionary();
                case '[': return List(']');
                case '(': return Parenthesis();
                case '\'' or '"': return Text();
                case var letter when char.IsAsciiDigit(letter) || letter == '.': return Number();
                default: return Word();
            }
        }

        private JsonValue Number()
        {
            var begun = at;
            while (at < text.Length && (char.IsAsciiLetterOrDigit(text[at]) || text[at] is '.' or '_' || text[at] is '+' or '-' && text[at - 1] is 'e' or 'E')) at++;
            var digits = text[begun..at].Replace("_", "", StringComparison.Ordinal);
            if (long.TryParse(digits, NumberStyles.None, CultureInfo.InvariantCulture, out var whole)) return JsonValue.Create(whole);
            if (decimal.TryParse(digits, NumberStyles.Float, CultureInfo.InvariantCulture, out var number)) return JsonValue.Create(number);
            throw Wrong("a number is no decimal one");
        }

        private JsonNode? Word()
        {
            var name = Name();
            if (Peek() is '\'' or '"' && name.ToLowerInvariant() is "r" or "u") return Text(isRaw: name is "r" or "R");
            switch (name)
            {
                case "True": return JsonValue.Create(true);
                case "False": return JsonValue.Create(false);
                case "None": return null;
                case "": throw Wrong("a literal is missing");
            }

            if (Peek() is '(' or '.' or '[' || !names.TryGetPropertyValue(name, out var known)) throw Wrong($"'{name}' is no literal, and nothing is executed");
            return known?.DeepClone();
        }

        private JsonValue Text(bool isRaw = false)
        {
            var whole = new StringBuilder();
            while (true)
            {
                var end = EndOfString(text, at);
                var quotes = end - at >= 6 && text[at + 1] == text[at] && text[at + 2] == text[at] ? 3 : 1;
                if (end - at < 2 * quotes || text[end - 1] != text[at]) throw Wrong("a string has no end");
                var inner = text[(at + quotes)..(end - quotes)];
                whole.Append(isRaw ? inner : Unescaped(inner));
                at = end;
                // Strings beside each other are one.
                if (Peek() is not ('\'' or '"')) return JsonValue.Create(whole.ToString());
                isRaw = false;
            }
        }

        private string Unescaped(string inner)
        {
            var result = new StringBuilder();
            for (var index = 0; index < inner.Length; index++)
            {
                if (inner[index] != '\\' || index + 1 == inner.Length)
                {
                    result.Append(inner[index]);
                    continue;
                }

                var letter = inner[++index];
                switch (letter)
                {
                    case '\n': break;
                    case 'n': result.Append('\n'); break;
                    case 't': result.Append('\t'); break;
                    case 'r': result.Append('\r'); break;
                    case '0': result.Append('\0'); break;
                    case '\\' or '\'' or '"': result.Append(letter); break;
                    case 'x' or 'u' or 'U':
                        var length = letter == 'x' ? 2 : letter == 'u' ? 4 : 8;
                        if (inner.Length - index - 1 < length
                            || !int.TryParse(inner.AsSpan(index + 1, length), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var code)
                            || !Rune.IsValid(code)) throw Wrong("a string has an escape that is no character");
                        result.Append(new Rune(code).ToString());
                        index += length;
                        break;
                    default: result.Append('\\').Append(letter); break;
                }
            }

            return result.ToString();
        }

        private JsonObject Dictionary()
        {
            at++;
            var result = new JsonObject();
            while (Peek() != '}')
            {
                var key = Sum();
                if (key is not JsonValue name || key.GetValueKind() != System.Text.Json.JsonValueKind.String) throw Wrong("a key is no string");
                if (Peek() != ':') throw Wrong("':' is missing after a key");
                at++;
                result[name.GetValue<string>()] = Sum();
                if (Peek() == ',') at++;
                else if (Peek() != '}') throw Wrong("',' or '}' is missing");
            }

            at++;
            return result;
        }

        private JsonArray List(char end)
        {
            at++;
            var result = new JsonArray();
            while (Peek() != end)
            {
                result.Add(Sum());
                if (Peek() == ',') at++;
                else if (Peek() != end) throw Wrong($"',' or '{end}' is missing");
            }

            at++;
            return result;
        }

        // One value in parentheses is that value, with a comma it is a tuple.
        private JsonNode? Parenthesis()
        {
            var begun = at;
            var list = List(')');
            var inner = text[begun..at];
            if (list.Count != 1 || inner[..^1].TrimEnd().EndsWith(',')) return list;
            var only = list[0];
            list.RemoveAt(0);
            return only;
        }

        private string Name()
        {
            var begun = at;
            while (at < text.Length && (char.IsLetter(text[at]) || text[at] == '_' || at > begun && char.IsDigit(text[at]))) at++;
            return text[begun..at];
        }

        // The next letter that means something; a zero character at the end.
        private char Peek()
        {
            SkipSpace();
            return at < text.Length ? text[at] : '\0';
        }

        private void SkipSpace()
        {
            while (at < text.Length)
            {
                if (text[at] == '#') while (at < text.Length && text[at] != '\n') at++;
                else if (char.IsWhiteSpace(text[at]) || text[at] == '\\' || text[at] == '\uFEFF') at++;
                else return;
            }
        }

        private static FormatException Wrong(string why) => new(why);
    }
}
