using System.Globalization;
using System.IO.Compression;
using System.Text.RegularExpressions;

namespace Analytics.Actors.Node.Replay;

/// <summary>
/// A published CSV file, plain or gzipped, read line by line. The files have a header, commas, quotes around header names
/// only, and no empty values; a line with another number of values than the header is refused with its number.
/// </summary>
internal sealed partial class CsvTable
{
    private readonly string path;
    private readonly Dictionary<string, int> columns = new(StringComparer.Ordinal);

    public CsvTable(string directory, string file)
    {
        path = Path.Combine(directory, file);
        if (!File.Exists(path)) throw new ReplayDataException($"{path}: missing; --data must name the directory that holds it");
        using var reader = Open();
        Header = SplitHeader(reader.ReadLine() ?? throw new ReplayDataException($"{path}: empty; a header line was expected"));
        for (var index = 0; index < Header.Count; index++) columns[Header[index]] = index;
    }

    public IReadOnlyList<string> Header { get; }

    public int Column(string name) => columns.TryGetValue(name, out var index)
        ? index
        : throw new ReplayDataException($"{path}: has no column \"{name}\"; it has {string.Join(", ", Header)}");

    /// <summary>All lines after the header, one at a time.</summary>
    public IEnumerable<string[]> Rows()
    {
        using var reader = Open();
        reader.ReadLine();
        var number = 1;
        while (reader.ReadLine() is { } line)
        {
            number++;
            if (line.Length == 0) continue;
            var values = line.Split(',');
            if (values.Length != Header.Count)
                throw new ReplayDataException($"{path}: line {number} has {values.Length} values, the header {Header.Count}");
            yield return values;
        }
    }

    /// <summary>A wall clock time as the files write it; Boulder's zone is wrong (its times are local) and ignored.</summary>
    public DateTime Time(string text) =>
        DateTime.TryParseExact(
            text.Length > 19 ? text[..19] : text, ["yyyy-MM-dd HH:mm:ss", "yyyy/MM/dd HH:mm:ss"],
            CultureInfo.InvariantCulture, DateTimeStyles.None, out var time)
            ? time
            : throw new ReplayDataException($"{path}: \"{text}\" is no time; yyyy-MM-dd HH:mm:ss was expected");

    /// <summary>The text itself, where it may stand in JSON as a number.</summary>
    public string Number(string text) =>
        JsonNumber().IsMatch(text) ? text : throw new ReplayDataException($"{path}: \"{text}\" is no number");

    [GeneratedRegex(@"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?\z")]
    private static partial Regex JsonNumber();

    private StreamReader Open()
    {
        var file = File.OpenRead(path);
        return new StreamReader(path.EndsWith(".gz", StringComparison.Ordinal) ? new GZipStream(file, CompressionMode.Decompress) : file);
    }

    private static List<string> SplitHeader(string line)
    {
        var names = new List<string>();
        var name = new System.Text.StringBuilder();
        var quoted = false;
        foreach (var letter in line)
        {
            if (letter == '"') quoted = !quoted;
            else if (letter == ',' && !quoted)
            {
                names.Add(name.ToString());
                name.Clear();
            }
            else name.Append(letter);
        }

        names.Add(name.ToString());
        return names;
    }
}
