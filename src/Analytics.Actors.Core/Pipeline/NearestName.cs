namespace Analytics.Actors.Core.Pipeline;

/// <summary>Finds the known name that somebody probably meant.</summary>
public static class NearestName
{
    private const int LengthMax = 64;

    /// <summary>The known name with the fewest edits to <paramref name="name"/>, or null where none is near.</summary>
    public static string? Find(string name, IEnumerable<string> known)
    {
        string? nearest = null;
        var fewest = int.MaxValue;
        foreach (var candidate in known)
        {
            var limit = Math.Max(2, Math.Max(name.Length, candidate.Length) / 3);
            if (name.Length > LengthMax || candidate.Length > LengthMax || Math.Abs(name.Length - candidate.Length) > limit) continue;
            var edits = Edits(name, candidate);
            if (edits > limit || edits >= fewest || edits >= candidate.Length) continue;
            fewest = edits;
            nearest = candidate;
        }

        return nearest;
    }

    /// <summary>A sentence's end that suggests the nearest name, or nothing.</summary>
    public static string Suggest(string name, IEnumerable<string> known) =>
        Find(name, known) is { } nearest ? $"; did you mean \"{nearest}\"?" : "";

    // Levenshtein's distance with swapped neighbours as one edit, without regard to case.
    private static int Edits(string left, string right)
    {
        var before = new int[right.Length + 1];
        var last = new int[right.Length + 1];
        var next = new int[right.Length + 1];
        for (var j = 0; j <= right.Length; j++) last[j] = j;
        for (var i = 1; i <= left.Length; i++)
        {
            next[0] = i;
            for (var j = 1; j <= right.Length; j++)
            {
                var cost = Same(left[i - 1], right[j - 1]) ? 0 : 1;
                next[j] = Math.Min(Math.Min(next[j - 1], last[j]) + 1, last[j - 1] + cost);
                if (i > 1 && j > 1 && Same(left[i - 1], right[j - 2]) && Same(left[i - 2], right[j - 1]))
                {
                    next[j] = Math.Min(next[j], before[j - 2] + 1);
                }
            }

            (before, last, next) = (last, next, before);
        }

        return last[right.Length];
    }

    private static bool Same(char left, char right) => char.ToUpperInvariant(left) == char.ToUpperInvariant(right);
}
