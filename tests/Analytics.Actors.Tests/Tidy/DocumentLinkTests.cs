using System.Text;
using System.Text.RegularExpressions;

namespace Analytics.Actors.Tests.Tidy;

/// <summary>
/// Every relative link of every Markdown document leads to a file or folder of the repository, and its anchor to a heading
/// there. A document that names a file which has moved is worse than one that names none.
/// </summary>
public partial class DocumentLinkTests
{
    private static readonly string Root = FindRoot();

    [Fact]
    public void Every_relative_link_of_the_documents_leads_somewhere()
    {
        var documents = Documents().ToList();
        documents.Select(document => Path.GetRelativePath(Root, document)).ShouldContain("README.md");
        var broken = documents.SelectMany(document => Broken(document, File.ReadAllText(document))).ToList();
        broken.ShouldBeEmpty("correct the link, or the document that should be there:\n" + string.Join('\n', broken));
    }

    [Theory]
    [InlineData("see [x](src/Nowhere.cs)", "src/Nowhere.cs")]
    [InlineData("<pre>\n<a href=\"src/Nowhere.cs\">x</a>\n</pre>", "src/Nowhere.cs")]
    [InlineData("![x](picture.png \"title\")", "picture.png")]
    [InlineData("[x]\n\n[x]: nowhere.md", "nowhere.md")]
    [InlineData("[x](src/analytics.actors.core)", "src/analytics.actors.core")]
    [InlineData("[x](../outside.md)", "../outside.md")]
    [InlineData("[x](/LICENSE)", "/LICENSE")]
    [InlineData("# A heading\n[x](#another-heading)", "#another-heading")]
    [InlineData("[x](README.md#no-such-heading)", "README.md#no-such-heading")]
    public void A_link_that_leads_nowhere_is_found(string text, string link) =>
        Broken(Path.Combine(Root, "document.md"), text).ShouldHaveSingleItem().ShouldContain($"\"{link}\"");

    [Theory]
    [InlineData("[x](LICENSE), [y](src), [z](<src/Analytics.Actors.Core/>)")]
    [InlineData("[x](https://example.com/nowhere), [y](mailto:nobody@example.com)")]
    [InlineData("`[x](nowhere.md)`")]
    [InlineData("```\n[x](nowhere.md)\n```")]
    [InlineData("    $ a command of an example\n\n~~~~\n```\n[x](nowhere.md)\n~~~~")]
    [InlineData("## Who `knows` what? (1, 2)\n[x](#who-knows-what-1-2)")]
    [InlineData("# Same\n# Same\n[x](#same), [y](#same-1)")]
    public void What_leads_somewhere_or_is_no_link_of_ours_is_left_alone(string text) =>
        Broken(Path.Combine(Root, "document.md"), text).ShouldBeEmpty();

    private static IEnumerable<string> Broken(string document, string text)
    {
        var prose = WithoutCode(text);
        foreach (var target in Links(prose).Distinct())
        {
            if (Wrong(document, prose, target) is { } reason) yield return $"{Path.GetRelativePath(Root, document)}: \"{target}\": {reason}";
        }
    }

    private static string? Wrong(string document, string prose, string target)
    {
        if (Scheme().IsMatch(target) || target.StartsWith("//", StringComparison.Ordinal)) return null;
        if (target.StartsWith('/')) return "must be relative to the document: it would lead to the site's root, not the repository's";
        var parts = target.Split('#', 2);
        var path = parts[0].Length == 0 ? document : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(document)!, Uri.UnescapeDataString(parts[0])));
        if (path != Root && !path.StartsWith(Root + Path.DirectorySeparatorChar, StringComparison.Ordinal)) return "leads out of the repository";
        if (parts[0].Length > 0 && !Exists(path)) return "there is no such file or folder";
        if (parts.Length == 1 || !path.EndsWith(".md", StringComparison.Ordinal)) return null;
        var headings = Anchors(parts[0].Length == 0 ? prose : WithoutCode(File.ReadAllText(path)));
        return headings.Contains(parts[1]) ? null : $"there is no such heading; there are: {string.Join(", ", headings)}";
    }

    // Names are compared letter by letter also where the file system would not.
    private static bool Exists(string path)
    {
        var current = Root;
        foreach (var name in Path.GetRelativePath(Root, path).Split(Path.DirectorySeparatorChar, StringSplitOptions.RemoveEmptyEntries))
        {
            if (name == ".") continue;
            if (!Directory.Exists(current) || !Directory.EnumerateFileSystemEntries(current).Any(entry => Path.GetFileName(entry) == name)) return false;
            current = Path.Combine(current, name);
        }

        return true;
    }

    private static IEnumerable<string> Links(string prose) =>
        InlineLink().Matches(prose).Concat(Definition().Matches(prose)).Concat(Reference().Matches(prose))
            .Select(match => match.Groups["target"].Value.Trim('<', '>'));

    // The names that headings get on the usual hosts: lower case, without punctuation, spaces as hyphens, repeats numbered.
    private static List<string> Anchors(string prose)
    {
        var anchors = new List<string>();
        foreach (Match heading in Heading().Matches(prose))
        {
            var text = LinkText().Replace(heading.Groups["text"].Value.Trim(), "${text}");
            var anchor = new StringBuilder();
            foreach (var c in text.ToLowerInvariant())
            {
                if (char.IsLetterOrDigit(c) || c is '-' or '_') anchor.Append(c);
                else if (c == ' ') anchor.Append('-');
            }

            var name = anchor.ToString();
            for (var repeat = 1; anchors.Contains(name); repeat++) name = $"{anchor}-{repeat}";
            anchors.Add(name);
        }

        return anchors;
    }

    // Examples are not links. Fenced blocks go; of code inside a line only the ticks do where it is part of a heading.
    private static string WithoutCode(string text)
    {
        var prose = new StringBuilder();
        string? fence = null;
        foreach (var line in text.ReplaceLineEndings("\n").Split('\n'))
        {
            var mark = Fence().Match(line).Groups["mark"].Value;
            if (fence is null && mark.Length > 0)
            {
                fence = mark;
            }
            else if (fence is not null)
            {
                if (mark.Length >= fence.Length && mark[0] == fence[0] && line.Trim() == mark) fence = null;
            }
            else
            {
                prose.Append(line.StartsWith('#') ? line.Replace("`", "") : InlineCode().Replace(line, "")).Append('\n');
            }
        }

        return prose.ToString();
    }

    private static IEnumerable<string> Documents()
    {
        string[] passedOver = ["bin", "obj", "node_modules", "TestResults"];
        var open = new Stack<string>([Root]);
        while (open.TryPop(out var folder))
        {
            foreach (var document in Directory.EnumerateFiles(folder, "*.md")) yield return document;
            foreach (var inside in Directory.EnumerateDirectories(folder))
            {
                var name = Path.GetFileName(inside);
                if (!name.StartsWith('.') && !passedOver.Contains(name)) open.Push(inside);
            }
        }
    }

    private static string FindRoot()
    {
        var folder = new DirectoryInfo(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "Analytics.Actors.sln")))
        {
            folder = folder.Parent ?? throw new InvalidOperationException("These tests run inside the repository: there is no Analytics.Actors.sln above them.");
        }

        return folder.FullName;
    }

    [GeneratedRegex("""\]\((?<target><[^>\n]*>|[^\s)]+)(\s+"[^"]*")?\)""")]
    private static partial Regex InlineLink();

    [GeneratedRegex("""^ {0,3}\[[^\]\n]+\]:\s*(?<target>\S+)""", RegexOptions.Multiline)]
    private static partial Regex Definition();

    [GeneratedRegex("(?:href|src)=\"(?<target>[^\"]*)\"")]
    private static partial Regex Reference();

    [GeneratedRegex("""^#{1,6}\s+(?<text>.+?)\s*#*$""", RegexOptions.Multiline)]
    private static partial Regex Heading();

    [GeneratedRegex("""\[(?<text>[^\]]*)\]\([^)]*\)""")]
    private static partial Regex LinkText();

    [GeneratedRegex("""^\s*(?<mark>`{3,}|~{3,})""")]
    private static partial Regex Fence();

    [GeneratedRegex("(`+)[^`]+\\1")]
    private static partial Regex InlineCode();

    [GeneratedRegex("^[a-zA-Z][a-zA-Z0-9+.-]*:")]
    private static partial Regex Scheme();
}
