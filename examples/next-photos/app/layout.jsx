import './globals.css';

export const metadata = {title: 'Photos', description: 'Photos of our visitors'};

export default function Layout({children}) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
